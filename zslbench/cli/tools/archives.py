"""`zslbench data fetch` and `data import`: from a published archive to a folder that is read."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt
from zslbench.cli.output import print_json, print_verified

Published = Annotated[str, typer.Argument(help="CUB, AWA2, SUN, APY, or xlsa17 for all of them.")]


def fetch(name: Published, data_root: opt.DataRoot = opt.DATA_ROOT, json: opt.Json = False) -> None:
    """Download a published dataset, lay out its folder, and verify it.

    xlsa17 has splits and features of CUB, AWA1, AWA2, SUN and aPY, without images.

    Interrupted? Run the same command again: the download resumes.

    Examples:
      zslbench data fetch xlsa17 --data-root ~/data

      zslbench data fetch CUB --data-root ~/data
    """
    from zslbench.data.fetch.layout import fetch
    from zslbench.studies.progress import Display

    with Display() as display:
        made = fetch(name, data_root, display.tick)
    _verify(made, data_root, json=json)


def import_(
    name: Published,
    splits: Annotated[Path, typer.Option(help="xlsa17.zip, with the splits and features.")],
    archive: Annotated[
        Path | None, typer.Option(help="The dataset's images, such as CUB_200_2011.tgz.")
    ] = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    json: opt.Json = False,
) -> None:
    """Lay out a published dataset's folder from archives on disk, and verify it.

    Examples:
      zslbench data import CUB --archive CUB_200_2011.tgz --splits xlsa17.zip --data-root ~/data

      zslbench data import xlsa17 --splits xlsa17.zip --data-root ~/data
    """
    from zslbench.data.fetch.layout import import_archives
    from zslbench.studies.progress import Display

    with Display() as display:
        made = import_archives(name, data_root, splits, archive, display.tick)
    _verify(made, data_root, json=json)


def _verify(names: list[str], data_root: Path, *, json: bool) -> None:
    """Print what was made; exit status 2 if anything is wrong with it."""
    from zslbench.data.verify import verify

    found = [verify(name, data_root) for name in names]
    if json:
        print_json({"datasets": [asdict(each) for each in found]})
    else:
        for each in found:
            print_verified(each, json=False)
    raise typer.Exit(2 if any(each.problems for each in found) else 0)
