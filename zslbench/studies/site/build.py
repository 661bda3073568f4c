"""The page of a public leaderboard: verified runs as any leaderboard has them, claims below."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zslbench.data.types import OnProgress, no_progress
from zslbench.records import IncrementalRecord, RuleName, Scores
from zslbench.report.files import write_text
from zslbench.report.table import Table
from zslbench.stats import METRICS
from zslbench.store import Stored, StoredIncremental
from zslbench.studies.bundles.own_data import OwnData
from zslbench.studies.bundles.results import UNSEEN
from zslbench.studies.groups import SeedGroup, called, group_runs
from zslbench.studies.incremental.results import group_incremental, incremental_rows
from zslbench.studies.leaderboard.evidence import provenance_of
from zslbench.studies.leaderboard.page import as_page
from zslbench.studies.leaderboard.results import build_leaderboard, marks_of
from zslbench.studies.leaderboard.rows import Claim, Public, Row, Submitted
from zslbench.studies.site.collect import Collected, collect

PAGE = "page/index.html"
RULES: tuple[RuleName, ...] = ("validation", "published")
TITLE = "Public leaderboard"
NOTES = (
    "Verified: whoever built this page had the test labels, and recomputed every number from the "
    "kept scores. Only verified rows have intervals and places. Claimed: key, ledger and choice "
    "fit, and the numbers are as stated; the row in full says why they were not recomputed.",
    UNSEEN,
    "Who ran what, and when, is as the bundles state it; that a name is its owner's is for whoever "
    "merges a bundle to see.",
)
SUBMITTERS_NOTE = (
    "Openings: readings of test labels in the ledgers of a submitter's bundles, those of runs that "
    "are in no bundle included; those of a bundle by several count for each. A ledger holds what "
    "its owner let it hold."
)
LEFT_OUT_NOTE = "Nothing of these bundles is on this page."


@dataclass(frozen=True)
class Built:
    """What a page was built from.

    Attributes:
        left_out: Bundles that have no part in it, each with the reason.
    """

    page: Path
    verified: int
    claimed: int
    left_out: dict[str, str]


def build_site(folder: Path, own: OwnData, on_progress: OnProgress = no_progress) -> Built:
    """Verify the bundles of a repository and write its page.

    Args:
        folder: The repository.
        own: The data that hold the test labels, as far as they are here.
        on_progress: Called with (done, total) bundles.

    Raises:
        DataError: If the folder is no such repository.
    """
    with ExitStack() as stack:
        found = collect(folder, own, stack, on_progress)
        text = _page(found)
    write_text(folder / PAGE, text)
    return Built(folder / PAGE, len(found.verified), len(found.claims), found.left_out)


def _page(found: Collected) -> str:
    ledger, verified = found.ledger(), found.verified.values()
    runs = [run for run in verified if isinstance(run, Stored)]
    sequences = [run for run in verified if isinstance(run, StoredIncremental)]
    board = replace(
        build_leaderboard(runs, ledger, RULES),
        title=TITLE,
        about=_about(found),
        incremental=incremental_rows(group_incremental(sequences), ledger),
    )
    claims = list(_claims(found, ledger))
    lines: list[Row | Claim] = [*board.rows, *claims]
    public = Public(
        claims,
        [_submitted(line, found) for line in lines],
        [table for table in _tables(found) if table.rows],
        NOTES,
    )
    return as_page(board, public)


def _about(found: Collected) -> str:
    labs = len(found.bundles)
    return (
        f"{len(found.verified)} runs verified and {len(found.claims)} claimed, by {labs} "
        f"submitter{'s' * (labs != 1)}."
    )


def _claims(found: Collected, ledger: Counter[tuple[str, str]]) -> Iterator[Claim]:
    """Yield the claims in seen/unseen worlds, by dataset, then H."""
    runs = [run for run, _ in found.claims.values() if isinstance(run, Stored)]
    groups = group_runs(runs, RULES, {})
    for group in sorted(groups, key=lambda g: (g.data[0].casefold(), -np.mean(g.h), g.title)):
        yield _claim(group, ledger, found)


def _claim(group: SeedGroup, ledger: Counter[tuple[str, str]], found: Collected) -> Claim:
    first, spec = group.records[0], group.records[0].spec
    reasons = (found.claims[record.key][1] for record in group.records)
    scores = [result.scores for result in group.results]
    return Claim(
        dataset=spec.dataset,
        method=spec.method,
        settings=spec.settings,
        tuned=spec.tuned,
        backbone=spec.backbone.title,
        exposure=spec.backbone.exposure,
        rule=group.rule,
        seeds=group.seeds,
        scores=Scores(**{m: float(np.mean([getattr(s, m) for s in scores])) for m in METRICS}),
        openings=ledger[spec.method, first.test_digest],
        marks=marks_of(group),
        why=tuple(dict.fromkeys(reason for each in reasons for reason in each)),
        provenance=provenance_of(group),
    )


def _submitted(line: Row | Claim, found: Collected) -> Submitted:
    about = line.provenance if isinstance(line, Claim) else line.evidence.provenance
    homes = [found.homes[key] for key in about["runs"].values()]
    days = sorted({home.record.created[:10] for home in homes})
    by = {name for home in homes for name in home.by}
    return Submitted(tuple(sorted(by)), tuple(dict.fromkeys((days[0], days[-1]))))


def _tables(found: Collected) -> Iterator[Table]:
    columns = ("submitter", "bundles", "runs verified", "runs claimed", "openings of test labels")
    names = sorted(found.bundles, key=str.casefold)
    yield Table(
        "submitters", columns, [_submitter(name, found) for name in names], SUBMITTERS_NOTE,
        words=columns[-1:],
    )  # fmt: skip
    rows = [[name, reason] for name, reason in found.left_out.items()]
    yield Table("left out", ("bundle", "why"), rows, LEFT_OUT_NOTE, words=("why",))
    records = (run.record for run, _ in found.claims.values())
    sequences = [record for record in records if isinstance(record, IncrementalRecord)]
    yield Table(
        "claimed along task sequences",
        ("run", "average", "last", "forgetting"),
        [_sequence(record, found) for record in sequences],
        "Accuracies in percent, as stated.",
    )


def _submitter(name: str, found: Collected) -> list[str]:
    keys = {key for key, home in found.homes.items() if name in home.by}
    opened = Counter(entry.dataset for entry, by in found.openings.values() if name in by)
    told = ", ".join(f"{dataset} {number}" for dataset, number in sorted(opened.items()))
    counts = found.bundles[name], len(keys & found.verified.keys()), len(keys & found.claims.keys())
    return [name, *map(str, counts), told or "-"]


def _sequence(record: IncrementalRecord, found: Collected) -> list[str]:
    spec, home = record.spec, found.homes[record.key]
    title = f"{called(spec)}\n{spec.dataset}; seed {spec.seed}; by {', '.join(sorted(home.by))}"
    return [title, *(f"{value:.1f}" for value in (record.average, record.last, record.forgetting))]
