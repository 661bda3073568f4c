"""Pictures of where a method looks: patches kept and left out, attributes, with the true parts.

Legible in greyscale: what a method looks at is bright, what it leaves out is hatched, parts are
numbered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, TEXT = 1.6, 6.5
ATTRIBUTE_NOTE = (
    "bright: the attribute is seen there; frame: the best patch; hatched: not attended to; outline "
    "(where known): the part that bears it"
)
DARK = 0.2  # of the brightness is left where a method looks least
DIM = 0.45  # of the brightness is left where a patch is not kept
HATCHED: dict[str, Any] = {"hatch": "//////", "edgecolor": "white", "linewidth": 0}


@dataclass(frozen=True)
class ItemPicture:
    """One image and where a method looks in it, on a grid of N patches.

    Attributes:
        title: What it is of, and what the method took it for.
        image: `[S, S, 3]` uint8.
        patches: `[N]`, the higher the more the patch matters.
        kept: `[N]` which are kept as semantic, where the method selects.
        attributes: Names of the A attributes shown.
        maps: `[N, A]` how much of each is seen where, -inf where it is not looked for.
        masks: Parts known by their pixels, `[S, S]` each.
        points: Parts known by a place in pixels.
        bearing: `[A, S, S]` the part that bears each attribute, where parts are known by pixels.
    """

    title: str
    image: NDArray[np.uint8]
    patches: NDArray[np.floating]
    kept: NDArray[np.bool_] | None = None
    attributes: tuple[str, ...] = ()
    maps: NDArray[np.floating] | None = None
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    bearing: NDArray[np.bool_] | None = None


def patch_figure(pictures: Sequence[ItemPicture], title: str) -> "Figure":
    """Draw each image with its parts; below it how much each patch matters, and which are kept."""
    selects, numbers = pictures[0].kept is not None, _numbered(pictures)
    names = ["image, true parts" if numbers else "image", "patches"]
    names += ["kept (hatched: not)"] if selects else []
    figure, grid = _panels(len(names), len(pictures), title, SIDE * len(names) + 1.3)
    for column, picture in zip(grid.T, pictures, strict=True):
        _draw_image(column[0], picture, numbers)
        column[1].imshow(_lit(picture.image, _relative(picture.patches)))
        if picture.kept is not None:
            column[2].imshow(_lit(picture.image, np.where(picture.kept, 1.0, 0.0), DIM))
            _squares(column[2], picture, np.flatnonzero(~picture.kept), **HATCHED)
    for axes, name in zip(grid[:, 0], names, strict=True):
        axes.set_ylabel(name, fontsize=TEXT + 1)
    _finish(figure, grid, pictures, numbers, "bright: the patch matters more")
    return figure


def attribute_figure(pictures: Sequence[ItemPicture], title: str) -> "Figure":
    """Draw each image with its parts, and beside it where each of its attributes is seen.

    The best patch is framed; the part that bears the attribute is outlined where it is known.
    """
    shown, numbers = max(len(picture.attributes) for picture in pictures), _numbered(pictures)
    figure, grid = _panels(len(pictures), 1 + shown, title, (SIDE + 0.6) * len(pictures) + 0.6)
    for row, picture in zip(grid, pictures, strict=True):
        _draw_image(row[0], picture, numbers)
        for place, name in enumerate(picture.attributes):
            _draw_attribute(row[1 + place], picture, place)
            row[1 + place].set_title(fill(name, 24), fontsize=TEXT)
    _finish(figure, grid, pictures, numbers, ATTRIBUTE_NOTE)
    return figure


def _draw_attribute(axes: Any, picture: ItemPicture, place: int) -> None:
    assert picture.maps is not None
    values = picture.maps[:, place]
    looked = np.isfinite(values)
    axes.imshow(_lit(picture.image, _relative(values)))
    left_out = ~looked if picture.kept is None else ~(looked & picture.kept)
    _squares(axes, picture, np.flatnonzero(left_out), **HATCHED)
    for colour, width in (("black", 2.4), ("white", 1.2)):
        _squares(axes, picture, np.argmax(values, keepdims=True), edgecolor=colour, linewidth=width)
    if picture.bearing is not None:
        _outline(axes, picture.bearing[place])
    for x, y in picture.points.values():
        axes.plot([x], [y], "o", markersize=2, color="white", markeredgecolor="black", mew=0.5)


def _panels(rows: int, columns: int, title: str, height: float) -> tuple["Figure", NDArray[Any]]:
    from matplotlib.figure import Figure

    width = max((SIDE + 0.1) * columns, 4.0)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(fill(title, round(15 * width)), fontsize=TEXT + 1)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[], frame_on=False)
    return figure, grid


def _relative(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return values as shares of their range, in [0, 1]; 0 where they are not finite."""
    finite = np.isfinite(values)
    low, high = (float(end) for end in (values[finite].min(), values[finite].max()))
    shares = (np.where(finite, values, low) - low) / ((high - low) or 1.0)
    return np.asarray(shares, dtype=np.float64)


def _lit(
    image: NDArray[np.uint8], shares: NDArray[np.float64], least: float = DARK
) -> NDArray[np.uint8]:
    """Return an image that is bright where the patches' shares `[N]` are high."""
    grid = round(len(shares) ** 0.5)
    place = np.arange(len(image)) * grid // len(image)
    light = least + (1 - least) * shares.reshape(grid, grid)[np.ix_(place, place)]
    return np.asarray(np.rint(image * light[..., None]), dtype=np.uint8)


def _squares(axes: Any, picture: ItemPicture, patches: NDArray[np.int64], **style: Any) -> None:
    """Draw the edges of patches, or hatch them."""
    from matplotlib.patches import Rectangle

    grid = round(len(picture.patches) ** 0.5)
    side = len(picture.image) / grid
    for row, column in zip(*np.divmod(patches, grid), strict=True):
        corner = column * side - 0.5, row * side - 0.5
        axes.add_patch(Rectangle(corner, side, side, fill=False, **style))


def _outline(axes: Any, mask: NDArray[np.bool_]) -> None:
    if mask.any():
        for colour, width in (("black", 1.8), ("yellow", 0.9)):
            axes.contour(np.pad(mask, 1).astype(float), levels=[0.5], colors=[colour],
                         linewidths=[width], extent=(-1.5, len(mask) + 0.5) * 2)  # fmt: skip


def _numbered(pictures: Sequence[ItemPicture]) -> dict[str, int]:
    """Number all parts that are known in any of the pictures."""
    names = dict.fromkeys(part for p in pictures for part in (*p.masks, *p.points))
    return {part: n for n, part in enumerate(names, start=1)}


def _draw_image(axes: Any, picture: ItemPicture, numbers: Mapping[str, int]) -> None:
    """Draw an image and its parts: outlined where known by pixels, each with its number."""
    axes.set_title(picture.title, fontsize=TEXT)
    axes.imshow(picture.image)
    places = dict(picture.points)
    for part, mask in picture.masks.items():
        _outline(axes, mask)
        if mask.any():
            y, x = (float(np.median(found)) for found in np.nonzero(mask))
            places[part] = (x, y)
    for part, (x, y) in places.items():
        box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "linewidth": 0.4}
        axes.text(x, y, str(numbers[part]), fontsize=4.5, ha="center", va="center", bbox=box)


def _finish(
    figure: "Figure",
    grid: NDArray[Any],
    pictures: Sequence[ItemPicture],
    numbers: Mapping[str, int],
    note: str,
) -> None:
    """Show images to their edges, and say what is to be seen."""
    edge = len(pictures[0].image) - 0.5
    for axes in grid.flat:
        axes.set(xlim=(-0.5, edge), ylim=(edge, -0.5))
    if numbers:
        note += "; true parts: " + ", ".join(f"{n} {part}" for part, n in numbers.items())
    figure.supxlabel(fill(note, round(18 * figure.get_figwidth())), fontsize=TEXT)
