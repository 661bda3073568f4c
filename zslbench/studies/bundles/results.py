"""What became of a bundle: a verdict for each of its runs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zslbench.report.records import flat
from zslbench.report.shown import Shown
from zslbench.report.table import Cell, Document, Table

Judgement = Literal["verified", "consistent", "contradicted"]
MEANINGS: dict[Judgement, str] = {
    "verified": "every number recomputed from the kept scores and your own labels",
    "consistent": "key, ledger and choice fit; not all could be recomputed with your data",
    "contradicted": "a number, key, choice or entry of the ledger does not follow",
}
UNSEEN = (
    "What no check sees: how the scores were made (made up consistently, trained or chosen on test "
    "images), readings of the test labels that were kept out of the ledger, whether a run was done "
    "again or copied under a made-up entry of the ledger, and what is taken as stated: the "
    "backbone, its weights and what its pretraining saw, pixels of images, losses, localisation, "
    "times, memory, environment. Of a choice the mean curves over "
    "the tuning worlds are checked, and every world at the chosen epoch; the curves over gamma "
    "are not kept, so the chosen gamma is taken as stated."
)


@dataclass(frozen=True)
class RunVerdict:
    """What is to be thought of one run.

    Attributes:
        by: Who ran it; may be empty.
        reasons: What contradicts, or why it is not verified.
        openings: Entries of the ledger for it.
        labelled: Whether its test labels are here.
    """

    key: str
    method: str
    dataset: str
    seed: int
    by: str
    status: Judgement
    reasons: tuple[str, ...]
    openings: int
    labelled: bool


@dataclass(frozen=True, repr=False)
class Verification(Shown):
    """A bundle's verdicts.

    Attributes:
        openings: The bundle's readings of test labels by dataset, those of runs it lacks included.
    """

    name: str
    verdicts: list[RunVerdict]
    openings: dict[str, int]

    @property
    def counts(self) -> Counter[Judgement]:
        """How many runs have each verdict."""
        return Counter(verdict.status for verdict in self.verdicts)

    def of(self, status: Judgement) -> list[RunVerdict]:
        """Return the runs with a verdict."""
        return [verdict for verdict in self.verdicts if verdict.status == status]

    def document(self) -> Document:
        """Return a line for each run."""
        rows = [[_named(v), v.status, "\n".join(v.reasons) or "-"] for v in self.verdicts]
        table = Table(self.name, ("run", "verdict", "why"), rows, words=("verdict", "why"))
        return Document(parts=[table], notes=[*self._notes(), UNSEEN])

    def _notes(self) -> Iterator[str]:
        counts = self.counts
        yield from (f"{counts[s]} {s}: {said}." for s, said in MEANINGS.items() if counts[s])
        told = ", ".join(f"{number} of {name}" for name, number in self.openings.items())
        yield f"Readings of test labels in its ledger: {told}."

    def records(self) -> list[dict[str, Any]]:
        """Return a flat row for each run."""
        return [flat(verdict) for verdict in self.verdicts]


def _named(verdict: RunVerdict) -> Cell:
    by = f"; by {verdict.by}" if verdict.by else ""
    return Cell(f"{verdict.method}\n{verdict.dataset}; seed {verdict.seed}{by}\n{verdict.key[:12]}")


def listed(verdicts: Sequence[RunVerdict], most: int = 5) -> str:
    """Name some runs with their first reasons, as many as one reads."""
    said = [f"{v.method} on {v.dataset}, seed {v.seed}: {v.reasons[0]}" for v in verdicts[:most]]
    more = [f"and {len(verdicts) - most} more"] if len(verdicts) > most else []
    return "; ".join([*said, *more])
