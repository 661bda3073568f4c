"""Paper versus ours: does a published value lie within our interval, where the two compare?"""

import re
from dataclasses import dataclass
from typing import Literal

from zslbench.stats import Interval
from zslbench.studies.leaderboard.rows import Row
from zslbench.studies.published.numbers import (
    CROPS,
    FEWER_CLASSES,
    FINE_TUNED,
    FINER,
    FIRST_SPLITS,
    LARGE,
    NAMED,
    OWN_SETTINGS,
    PER_IMAGE,
    ROUNDING,
    SCALED,
    SENTENCES,
    TRANSDUCTIVE,
    UNCALIBRATED,
    Printed,
    Published,
    fold,
    read_published,
)

Word = Literal["within interval", "below", "above", "not comparable"]

# Test images of seen and of unseen classes, in the Proposed Splits.
TEST_IMAGES = {
    "CUB": (1764, 2967),
    "AWA2": (5882, 7913),
    "SUN": (2580, 1440),
    "AWA1": (4958, 5685),
    "APY": (1483, 7924),
}
ARCHITECTURES = {
    r"(features:)?res(net)?101": "ResNet-101",
    r"(features:|random:)?(vit|deit)_base_patch16_224(\..*)?": "ViT-B/16",
    r"(random:)?vmamba_small_448(\..*)?": "VMamba-S",
    r"(random:)?clip:ViT-B-16(-quickgelu)?(\..*)?": "CLIP ViT-B/16",
}


@dataclass(frozen=True)
class PaperVerdict:
    """How a published set of numbers stands to a row of ours.

    Attributes:
        words: Where each published value lies: within our interval, below it, or above it.
        reasons: Why a metric is not comparable; nothing for one that is.
    """

    published: Published
    words: dict[Printed, Word]
    reasons: dict[Printed, tuple[str, ...]]

    @property
    def obstacles(self) -> list[str]:
        """Every reason once, with its metrics where it does not hold for all."""
        texts = dict.fromkeys(text for reasons in self.reasons.values() for text in reasons)
        found = []
        for text in texts:
            barred = [metric.upper() for metric in self.reasons if text in self.reasons[metric]]
            everywhere = len(barred) == len(self.words)
            found.append(text if everywhere else f"{', '.join(barred)}: {text}")
        return found


def verdicts(row: Row) -> list[PaperVerdict]:
    """Return a verdict for every source that has numbers of the row's method on its dataset.

    A row named after a published variant is compared with it, others with the method.
    """
    method, dataset = fold(row.method), fold(row.dataset)
    about_it = [
        published
        for published in read_published()
        if fold(published.method) == method and fold(published.dataset) == dataset
    ]
    variant = [p for p in about_it if p.variant and fold(p.variant) == fold(row.label)]
    itself = [p for p in about_it if not p.variant]
    return [verdict(row, published) for published in variant or itself]


def verdict(row: Row, published: Published) -> PaperVerdict:
    """Hold published values against our intervals over images and seeds, these classes fixed."""
    reasons = {metric: _reasons(row, published, metric) for metric in published.scores}
    words: dict[Printed, Word] = {
        metric: "not comparable"
        if reasons[metric]
        else _place(value, row.intervals[metric]["these_classes"])
        for metric, value in published.scores.items()
    }
    return PaperVerdict(published, words, reasons)


def _place(value: float, interval: Interval) -> Word:
    """Return where a value lies that may have been rounded to one decimal."""
    if value < interval.low - ROUNDING:
        return "below"
    return "above" if value > interval.high + ROUNDING else "within interval"


def _reasons(row: Row, published: Published, metric: Printed) -> tuple[str, ...]:
    """Return why the two differ in more than the numbers."""
    ours, exposures = _architecture(row.backbone), {row.exposure, published.pretraining}
    per_image = PER_IMAGE in published.notes and metric != "t1", "per-image accuracy" in row.marks
    transductive = TRANSDUCTIVE in published.notes, TRANSDUCTIVE in row.marks
    changed = ", ".join(f"{key}={value}" for key, value in row.settings.items())
    reasons = {
        "dataset is not the real one": not _real(row, published),
        f"other backbone ({published.backbone}, ours {ours})": published.backbone != ours,
        f"pretraining differs or is unknown ({published.pretraining}, ours {row.exposure})": (
            len(exposures) > 1 or "unknown" in exposures
        ),
        "published value selected on test": (
            published.selected_on_test == "yes" and row.rule != "published"
        ),
        "our value selected on test": (published.selected_on_test == "no" and row.selected_on_test),
        "published value possibly on crops": CROPS in published.notes,
        "published value trained at 448 pixels": FINER in published.notes,
        "published value at 448 pixels": LARGE in published.notes and "448" not in row.backbone,
        f"published value {FEWER_CLASSES}": FEWER_CLASSES in published.notes,
        f"published value has {OWN_SETTINGS}": OWN_SETTINGS in published.notes,
        f"published value: {FINE_TUNED}": FINE_TUNED in published.notes,
        f"published value: {SENTENCES}": SENTENCES in published.notes,
        f"published value on the {FIRST_SPLITS}": FIRST_SPLITS in published.notes,
        f"published value {', '.join(published.suspicions)}": bool(published.suspicions),
        f"published value {NAMED}, ours {row.descriptions}": (
            NAMED in published.notes and row.descriptions != "names"
        ),
        f"published value transductive ({TRANSDUCTIVE})": transductive == (True, False),
        f"our value transductive ({TRANSDUCTIVE})": transductive == (False, True),
        "published value is per-image accuracy": per_image == (True, False),
        "our value is per-image accuracy": per_image == (False, True),
        "published value not calibrated": (
            metric != "t1" and UNCALIBRATED in published.notes and row.chosen["gamma"] != 0
        ),
        f"published value has {SCALED}": metric != "t1" and SCALED in published.notes,
        f"our settings are not the defaults ({changed})": (bool(changed) and not published.variant),
    }
    return tuple(text for text, holds in reasons.items() if holds)


def _real(row: Row, published: Published) -> bool:
    same = fold(row.dataset) == fold(published.dataset)
    return same and row.test_images == TEST_IMAGES[published.dataset]


def _architecture(backbone: str) -> str:
    """Return a backbone of ours as publications call it, or its own name."""
    names = (name for pattern, name in ARCHITECTURES.items() if re.fullmatch(pattern, backbone))
    return next(names, backbone)
