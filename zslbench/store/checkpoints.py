"""Epoch-end states of unfinished fits: what a killed run goes on from. Nothing is pickled."""

import json
import shutil
from collections.abc import Mapping
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
    """The place of one fit's checkpoint: at most one folder, replaced by atomic renames.

    Args:
        folder: Holds `epoch-N` while the fit is unfinished; None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def save(self, epoch: int, state: Mapping[str, Any] | None, progress: Progress) -> None:
        """Keep the state of a method at an epoch's end, in place of the one before."""
        if self.folder is None or state is None:
            return
        import torch

        draft = self.folder / f".draft-{uuid4().hex}"
        draft.mkdir(parents=True)
        torch.save(dict(state), draft / "state.pt")
        write_summaries(draft, progress.summaries)
        names = ("losses", "localisation", "fitting", "scoring")
        rest = {name: getattr(progress, name) for name in names}
        (draft / "progress.json").write_text(json.dumps(rest))
        draft.rename(self.folder / f"epoch-{epoch}")
        for older in self.folder.iterdir():
            if older.name != f"epoch-{epoch}":
                shutil.rmtree(older)

    def load(self) -> tuple[Mapping[str, Any] | None, Progress]:
        """Return the last state kept and how far it was; None and nothing where there is none."""
        kept = sorted(self.folder.glob("epoch-*"), key=_epoch) if self.folder else []
        if not kept:
            return None, Progress()
        import torch

        state = torch.load(kept[-1] / "state.pt", weights_only=True, map_location="cpu")
        rest = json.loads((kept[-1] / "progress.json").read_text())
        return state, Progress(read_summaries(kept[-1]), **rest)

    def clear(self) -> None:
        """Forget the fit: its result is stored."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _epoch(path: Path) -> int:
    return int(path.name.removeprefix("epoch-"))
