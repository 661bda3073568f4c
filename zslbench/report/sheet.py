"""A sheet of example images, their parts below them where these are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1.5, 1.75


def contact_sheet(
    path: Path,
    images: NDArray[np.uint8],
    titles: Sequence[str],
    part_maps: NDArray[np.uint8] | None = None,
    part_names: Mapping[int, str] | None = None,
) -> None:
    """Draw images `[n, S, S, 3]` side by side, and below each its part map `[n, S, S]`."""
    from matplotlib.figure import Figure

    rows = 1 if part_maps is None else 2
    figure = Figure(figsize=(WIDTH * len(images), HEIGHT * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, len(images), squeeze=False)
    for axes, image, title in zip(grid[0], images, titles, strict=True):
        axes.imshow(image, interpolation="nearest")
        axes.set_title(title, fontsize=6)
    if part_maps is not None and part_names is not None:
        colours = _draw_parts(grid[1], part_maps, part_names)
        figure.legend(handles=colours, loc="outside lower center", ncols=len(colours), fontsize=7,
                      frameon=False)  # fmt: skip
    for axes in grid.flat:
        axes.set_axis_off()
    figure.savefig(path, dpi=120)


def _draw_parts(row: Any, part_maps: NDArray[np.uint8], names: Mapping[int, str]) -> list[Any]:
    """Draw part maps in colours of their own; return the legend."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    palette = colormaps["tab10"].colors  # type: ignore[attr-defined]
    table = np.ones((256, 3))
    for place, value in enumerate(names):
        table[value] = palette[place % len(palette)]
    for axes, parts in zip(row, part_maps, strict=True):
        axes.imshow(table[parts], interpolation="nearest")
    return [Patch(color=table[value], label=name) for value, name in names.items()]
