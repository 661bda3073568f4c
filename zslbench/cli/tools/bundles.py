"""`zslbench export`, `verify` and `import`: runs that labs pass on to one another."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zslbench.cli import options as opt

if TYPE_CHECKING:
    from zslbench.studies.bundles.contents import Bundle
    from zslbench.studies.bundles.own_data import OwnData
    from zslbench.studies.bundles.results import Verification

BundleFile = Annotated[Path, typer.Argument(help="The bundle, a .tar.xz.", metavar="BUNDLE")]


def export(
    bundle: BundleFile,
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="The starts of the runs' keys (default: all).", metavar="[RUN]..."),
    ] = None,
    by: Annotated[str, typer.Option(help="Who ran them: a lab's name, kept with the runs.")] = "",
    results: opt.Results = opt.RESULTS,
) -> None:
    """Pack finished runs for others: records, choices, kept scores, openings of test labels.

    A bundle holds no test labels and no paths. Others check it with `zslbench verify` and put it
    beside their own runs with `zslbench import`.

    Examples:
      zslbench export ours.tar.xz --by "Lab A"

      zslbench export two.tar.xz 3fa9c2 81be07
    """
    from zslbench.store import Store
    from zslbench.studies.bundles.contents import write_bundle

    count = write_bundle(bundle, Store(results), runs or [], by)
    print(f"{bundle}: {count} runs")


def verify(
    bundle: BundleFile, data_root: opt.DataRoot = opt.DATA_ROOT, json: opt.Json = False
) -> None:
    """Check a bundle's runs against your own data: verified, consistent or contradicted.

    Verified: every number was recomputed from the kept scores and your labels. Consistent: key,
    ledger and choice fit, but the labels or the same data are not here. Contradicted: something
    does not follow; it is named, stated and recomputed. Exit status 1 if any run is contradicted.

    Examples:
      zslbench verify theirs.tar.xz --data-root ~/data

      zslbench verify theirs.tar.xz --json
    """
    from zslbench.cli.output import print_result

    with _judged(bundle, data_root) as (_, _, found):
        print_result(found, json=json)
    raise typer.Exit(1 if found.of("contradicted") else 0)


def import_(
    bundle: BundleFile,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    results: opt.Results = opt.RESULTS,
) -> None:
    """Put a bundle's runs beside your own; labels are filled in from your own data.

    Every run is verified first. Nothing is written if one is contradicted, or is here with other
    numbers (exit status 2). Runs whose test labels are not here are named and left out (exit
    status 1). The same bundle twice changes nothing.

    Examples:
      zslbench import theirs.tar.xz --data-root ~/data

      zslbench leaderboard
    """
    from zslbench.store import Store
    from zslbench.studies.bundles.merge import bring
    from zslbench.studies.bundles.results import listed
    from zslbench.studies.progress import say
    from zslbench.studies.session import check_writable

    check_writable(results)
    with _judged(bundle, data_root) as (read, own, found):
        store = Store(results)
        brought = bring(read, found, own, store)
        store.sync(again=True)
    print(f"{bundle}: {brought.new} runs imported, {brought.known} were here already")
    if brought.unverified:
        say(f"{len(brought.unverified)} of them not verified ({listed(brought.unverified)})")
    if brought.left_out:
        say(f"{len(brought.left_out)} runs left out ({listed(brought.left_out)}). Name the folder "
            "of their dataset with --data-root, and run the same command again.")  # fmt: skip
    raise typer.Exit(1 if brought.left_out else 0)


@contextmanager
def _judged(bundle: Path, data_root: Path) -> "Iterator[tuple[Bundle, OwnData, Verification]]":
    """Open a bundle and check it."""
    from zslbench.studies.bundles.contents import opened_bundle
    from zslbench.studies.bundles.measure import verify_bundle
    from zslbench.studies.bundles.own_data import OwnData
    from zslbench.studies.progress import Display

    with opened_bundle(bundle) as read, Display() as display:
        own = OwnData(data_root, lambda done, n: display.tick("drawing images", done, n))
        yield read, own, verify_bundle(read, own)
