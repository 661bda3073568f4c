"""Predicted attributes of test images in the plane, class by class."""

from collections.abc import Sequence
from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.metrics import Bool, Float, Int

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "osD^v<>ph*"
NOTE = "t-SNE shows which items are close; distances between groups and their sizes mean nothing."


def embedding_figure(
    places: Float, labels: Int, seen: int, names: Sequence[str], title: str
) -> "Figure":
    """Draw items `[m, 2]` of seen and of unseen classes side by side, in the same plane.

    A class has a colour and a shape, and is filled or hollow, so that greyscale tells it apart.

    Args:
        places: `[m, 2]`.
        labels: `[m]` class of each item, unseen classes from `seen` on.
        seen: Number of seen classes.
        names: Of all classes.
        title: Of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4), layout="constrained")
    sides = figure.subplots(1, 2, sharex=True, sharey=True)
    of_unseen = labels >= seen
    for axes, here, side in zip(sides, (~of_unseen, of_unseen), ("seen", "unseen"), strict=True):
        _draw_side(axes, places, labels, here, names)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{side} classes (grey: the others)", fontsize=8)
        if here.any():
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, fontsize=5.5,
                        frameon=False)  # fmt: skip
    figure.suptitle(fill(title, 130), fontsize=8)
    figure.supxlabel(NOTE, fontsize=7)
    return figure


def _draw_side(axes: Any, places: Float, labels: Int, here: Bool, names: Sequence[str]) -> None:
    from matplotlib import colormaps

    palette = colormaps["tab10"].colors  # type: ignore[attr-defined]
    axes.scatter(*places[~here].T, s=5, color="0.85", linewidths=0)
    for number, label in enumerate(np.unique(labels[here]).tolist()):
        colour = palette[number % len(palette)]
        hollow = number // len(MARKERS) % 2 == 1
        members = here & (labels == label)
        axes.scatter(
            *places[members].T,
            s=18,
            marker=MARKERS[number % len(MARKERS)],
            facecolors="none" if hollow else [colour],
            edgecolors=[colour] if hollow else "black",
            linewidths=0.9 if hollow else 0.3,
            label=shorten(names[label].replace("_", " "), 46),
        )
