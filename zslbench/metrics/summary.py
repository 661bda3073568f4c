"""What is kept of scores: for each image the best seen and the best unseen class."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from zslbench.metrics.accuracy import Float, Int, Space


@dataclass(frozen=True)
class ScoreSummary:
    """What is kept of one epoch's scores `[n, C]`: label-free, 20 bytes an image.

    Attributes:
        seen_class: `[n]` the best seen class.
        seen_score: `[n]` its score.
        unseen_class: `[n]` the best unseen class.
        unseen_score: `[n]` its score.
        log_sum_exp: `[n]` log of the summed exponentials over all classes.
        scale: Standard deviation of class-centred scores on training images, the unit of gamma.
    """

    seen_class: NDArray[np.int32]
    seen_score: NDArray[np.float32]
    unseen_class: NDArray[np.int32]
    unseen_score: NDArray[np.float32]
    log_sum_exp: NDArray[np.float32]
    scale: float

    ARRAYS: ClassVar = ("seen_class", "seen_score", "unseen_class", "unseen_score", "log_sum_exp")

    def margin(self, space: Space = "logit") -> Float:
        """Return `[n]` best seen minus best unseen: the gamma at which an image changes sides."""
        seen, unseen = self.seen_score.astype(np.float64), self.unseen_score.astype(np.float64)
        if space == "probability":
            seen, unseen = np.exp(seen - self.log_sum_exp), np.exp(unseen - self.log_sum_exp)
        return seen - unseen

    def predictions(self, gamma: float) -> Int:
        """Return `[n]` the class predicted when gamma is subtracted from the seen scores."""
        seen_wins = self.margin() >= gamma
        return np.where(seen_wins, self.seen_class, self.unseen_class).astype(np.int64)


def summarise(scores: NDArray[np.floating], seen: int, scale: float) -> ScoreSummary:
    """Reduce scores `[n, C]`, whose first `seen` columns are the seen classes, to a summary."""
    scores = np.asarray(scores)
    rows = np.arange(len(scores))
    seen_class = scores[:, :seen].argmax(axis=1)
    unseen_class = seen + scores[:, seen:].argmax(axis=1)
    seen_score, unseen_score = scores[rows, seen_class], scores[rows, unseen_class]
    top = np.maximum(seen_score, unseen_score)
    log_sum_exp = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    return ScoreSummary(
        seen_class.astype(np.int32),
        seen_score.astype(np.float32),
        unseen_class.astype(np.int32),
        unseen_score.astype(np.float32),
        log_sum_exp.astype(np.float32),
        float(scale),
    )
