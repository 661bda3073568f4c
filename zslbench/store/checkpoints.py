"""Epoch-end states of unfinished fits: a killed run resumes from them. Nothing is pickled."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from zslbench.metrics import ScoreSummary
from zslbench.store.artifacts import read_summaries, write_summaries


@dataclass
class Progress:
    """How far a fit is: what was scored and lost so far, and the seconds it took.

    Attributes:
        summaries: Score summaries by epoch, of the epochs that were to be scored.
        losses: Mean losses of each epoch, by name.
        localisation: How well the method looked where the parts are, at the chosen epoch.
        fitting: Seconds spent fitting.
        scoring: Seconds spent scoring.
    """

    summaries: dict[int, ScoreSummary] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)
    localisation: dict[str, float] = field(default_factory=dict)
    fitting: float = 0.0
    scoring: float = 0.0


class Slot:
    """The place of one fit's checkpoint.

    It holds `epoch-N`, the state at the latest epoch's end, replaced by atomic renames, and
    `scored-N`, the score summary of each epoch scored so far, each written once.

    Args:
        folder: Of an unfinished fit; None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._written: set[int] = set()

    def save(self, epoch: int, state: Mapping[str, Any] | None, progress: Progress) -> None:
        """Keep the state of a method at an epoch's end, in place of the one before."""
        if self.folder is None or state is None:
            return
        import torch

        for scored in progress.summaries.keys() - self._written:
            with self._replaced(f"scored-{scored}") as draft:
                write_summaries(draft, {scored: progress.summaries[scored]})
        self._written = set(progress.summaries)
        names = ("losses", "localisation", "fitting", "scoring")
        rest = {name: getattr(progress, name) for name in names}
        with self._replaced(f"epoch-{epoch}") as draft:
            torch.save(dict(state), draft / "state.pt")
            kept = {"scored": sorted(self._written), **rest}
            (draft / "progress.json").write_text(json.dumps(kept))
        for older in self.folder.glob("epoch-*"):
            if older.name != f"epoch-{epoch}":
                shutil.rmtree(older)

    @contextmanager
    def _replaced(self, name: str) -> Iterator[Path]:
        """Make a folder that appears whole, in place of one that a killed process has left."""
        assert self.folder is not None
        draft = self.folder / f".draft-{uuid4().hex}"
        draft.mkdir(parents=True)
        yield draft
        shutil.rmtree(self.folder / name, ignore_errors=True)
        draft.rename(self.folder / name)

    def load(self) -> tuple[Mapping[str, Any] | None, Progress]:
        """Return the last state kept and how far it was; None and nothing where there is none."""
        kept = sorted(self.folder.glob("epoch-*"), key=_epoch) if self.folder else []
        if not kept or self.folder is None:
            return None, Progress()
        import torch

        for draft in self.folder.glob(".draft-*"):
            shutil.rmtree(draft, ignore_errors=True)
        state = torch.load(kept[-1] / "state.pt", weights_only=True, map_location="cpu")
        rest = json.loads((kept[-1] / "progress.json").read_text())
        if "scored" not in rest:  # of an earlier version: the fit begins anew
            return None, Progress()
        self._written = set(rest.pop("scored"))
        places = [self.folder / f"scored-{epoch}" for epoch in sorted(self._written)]
        summaries = {e: s for place in places for e, s in read_summaries(place).items()}
        return state, Progress(summaries, **rest)

    def clear(self) -> None:
        """Forget the fit: its result is stored."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _epoch(path: Path) -> int:
    return int(path.name.removeprefix("epoch-"))
