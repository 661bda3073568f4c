"""What the bundles of a public leaderboard hold together, each verified with what labels are here.

No file can say that a run is verified: every build recomputes it.
"""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from zslbench.data.types import OnProgress
from zslbench.errors import DataError
from zslbench.records import IncrementalRecord, Opening, RunRecord, disagreement
from zslbench.store import Stored, counted
from zslbench.studies.archive import SUFFIX
from zslbench.studies.bundles.contents import AnyStored, Bundle, opened_bundle
from zslbench.studies.bundles.measure import verify_bundle
from zslbench.studies.bundles.merge import fill
from zslbench.studies.bundles.own_data import OTHER_LABELS, OwnData
from zslbench.studies.bundles.results import RunVerdict, Verification, listed
from zslbench.studies.groups import NAME
from zslbench.studies.site.folder import BUNDLES

AGAIN = "Export it again."
OTHERS = "whoever built this page had other test items, classes or labels under this name"


@dataclass
class Home:
    """Where a run was met first, and all who ran it."""

    bundle: str
    record: RunRecord | IncrementalRecord
    by: set[str]


@dataclass
class Collected:
    """Runs of bundles.

    Attributes:
        homes: Of each run by its key.
        verified: Runs by their keys, with test labels in their folders.
        claims: The other runs, each with what was not recomputed.
        openings: Entries of all ledgers, each with all who may have read the test labels.
        bundles: How many each submitter has a part in.
        left_out: Bundles that have no part in the page, each with the reason.
    """

    homes: dict[str, Home] = field(default_factory=dict)
    verified: dict[str, AnyStored] = field(default_factory=dict)
    claims: dict[str, tuple[AnyStored, tuple[str, ...]]] = field(default_factory=dict)
    openings: dict[str, tuple[Opening, frozenset[str]]] = field(default_factory=dict)
    bundles: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, bundle: Bundle, own: OwnData) -> None:
        """Verify a bundle and put its runs beside the others'.

        Raises:
            DataError: If it does not go with them; nothing of it is taken then.
        """
        found = verify_bundle(bundle, own)
        if contradicted := found.of("contradicted"):
            what = f"{len(contradicted)} of {len(found.verdicts)} runs are contradicted"
            raise DataError(bundle.path.name, f"{what} ({listed(contradicted)})", AGAIN)
        for run, verdict in zip(bundle.runs, found.verdicts, strict=True):
            self._check(run, verdict, bundle.path.name)
        for key, entry in bundle.openings.items():
            if key in self.openings and disagreement(self.openings[key][0], entry):
                what = f"has another entry in its ledger under the key {key[:12]} than others"
                raise DataError(bundle.path.name, what, AGAIN)
        self._take(bundle, found)
        for run in bundle.runs:
            if self.verified.get(run.record.key) is run:
                fill(run, own.of(run.record))

    def _check(self, run: AnyStored, verdict: RunVerdict, name: str) -> None:
        """Refuse a run that nobody stands for, or that is here with other numbers or names."""
        title = f"{verdict.method} on {verdict.dataset}, seed {verdict.seed}"
        if not NAME.fullmatch(verdict.by):
            fix = 'Export it again with --by, such as --by "Lab A".'
            raise DataError(name, f"{title} does not say who ran it", fix)
        home = self.homes.get(verdict.key)
        if home and (other := disagreement(home.record, run.record)):
            what = f"{title} has {other.name} {other.other}, and {other.one} in {home.bundle}"
            raise DataError(name, what, "A seed of a configuration is kept once.")
        if home and home.record.opening == run.record.opening and verdict.by not in home.by:
            what = f"{title} is the run of {', '.join(home.by)} in {home.bundle}, by {verdict.by}"
            raise DataError(name, what, AGAIN)

    def _take(self, bundle: Bundle, found: Verification) -> None:
        names = {verdict.key: verdict.by for verdict in found.verdicts}
        for run, verdict in zip(bundle.runs, found.verdicts, strict=True):
            home = Home(bundle.path.name, run.record, set())
            self.homes.setdefault(verdict.key, home).by.add(verdict.by)
            if verdict.status == "verified":
                self.verified.setdefault(verdict.key, run)
            else:
                self.claims.setdefault(verdict.key, (run, _why(verdict)))
        for key, entry in bundle.openings.items():
            # Of a run that the bundle lacks it does not say whose it was.
            by = [names[entry.run_key]] if entry.run_key in names else names.values()
            self.openings.setdefault(key, (entry, frozenset(by)))
        self.bundles.update(set(names.values()))

    def ledger(self) -> Counter[tuple[str, str]]:
        """Return how often test labels were opened, by (method, test digest)."""
        opened = ((entry.method, entry.test_digest) for entry, _ in self.openings.values())
        runs = [run for run in self.verified.values() if isinstance(run, Stored)]
        return counted(opened, {run.record.test_digest: run.folder for run in runs})


def _why(verdict: RunVerdict) -> tuple[str, ...]:
    """Return why a run was not verified, in words for all: no path of this machine."""
    if verdict.labelled:
        return verdict.reasons
    other = OTHER_LABELS in verdict.reasons[0]
    return (OTHERS if other else "whoever built this page did not have the test labels",)


def collect(folder: Path, own: OwnData, stack: ExitStack, on_progress: OnProgress) -> Collected:
    """Verify all bundles of a repository, in the order of their names.

    Args:
        folder: The repository.
        own: The data that hold the test labels, as far as they are here.
        stack: Keeps them unpacked.
        on_progress: Called with (done, total).

    Raises:
        DataError: If the folder has no folder of bundles.
    """
    place = folder / BUNDLES
    if not place.is_dir():
        raise DataError(
            folder, f"has no {BUNDLES}/", "Make a repository with zslbench site init FOLDER."
        )
    found = Collected()
    paths = sorted(place.glob(f"*{SUFFIX}"))
    for number, path in enumerate(paths):
        try:
            found.add(stack.enter_context(opened_bundle(path)), own)
        except DataError as error:
            found.left_out[path.name] = f"{error.what}. {error.fix}"
        on_progress(number + 1, len(paths))
    return found
