"""What birds and clutter are painted with: inks, patterns, shades.

A canvas holds inks, not colours: 4 * object + tone. One canvas gives the pixels (through the
image's palette) and the part map (through the object), so the two cannot disagree.
"""

import numpy as np
from numpy.typing import NDArray

from zslbench.data.plumage.attributes import Rgb
from zslbench.data.plumage.draws import Draws

Palette = dict[int, Rgb]

FRAME = 112
TONES = 4
BASE, MARK, GLINT = range(3)
PERIOD = 12
JITTER = 10


def _patterns() -> dict[str, NDArray[np.bool_]]:
    y, x = np.indices((FRAME + PERIOD, FRAME + PERIOD))
    shifted = x + PERIOD // 2 * (y // PERIOD % 2)
    return {
        "striped": (x // 3 + y) % PERIOD < 5,
        "spotted": (shifted % PERIOD - 5) ** 2 + (y % PERIOD - 5) ** 2 <= 11,
    }


_PATTERNS = _patterns()


def marks(pattern: str, side: int, draws: Draws) -> NDArray[np.bool_]:
    """Return `[side, side]`, where a pattern's marks lie at a drawn phase; `solid` has none."""
    x, y = draws.below(PERIOD), draws.below(PERIOD)
    if pattern == "solid":
        return np.zeros((side, side), dtype=bool)
    return _PATTERNS[pattern][y : y + side, x : x + side]


def shades(color: Rgb, draws: Draws) -> tuple[Rgb, Rgb]:
    """Return a shade of a colour, and the colour of marks on it: darker, or on black lighter."""
    red, green, blue = (min(max(c + draws.between(-JITTER, JITTER), 0), 255) for c in color)
    other = 255 if max(red, green, blue) < 96 else 0
    return (red, green, blue), _mix((red, green, blue), other)


def _mix(color: Rgb, other: int) -> Rgb:
    red, green, blue = ((3 * c + 5 * other) // 8 for c in color)
    return red, green, blue
