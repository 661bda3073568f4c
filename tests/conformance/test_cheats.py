"""Planted cheats: each is ESZSL with one thing wrong, and each is caught by the check for it."""

import numpy as np
import pytest

from zslbench.method import Epoch
from zslbench.method.conformance import CHECKS, REFITS, ConformanceError, toy_dataset
from zslbench.methods.eszsl import ESZSL
from zslbench.methods.svip import SVIP

CLASSES = 16
LABELS = np.repeat(np.arange(CLASSES), 15)
FILE_NAMES = [f"/data/images/{c:03d}.class_{c}/{i:04d}.jpg" for i, c in enumerate(LABELS)]


def item_of_row():
    """What a cheat that opened the feature file would know: which item a row of features is."""
    datasets = [toy_dataset(seed) for seed in range(REFITS["features"])]
    return {d.inputs[i].tobytes(): i for d in datasets for i in range(len(LABELS))}


class KnowsItems(ESZSL):
    """Base of the cheats that recognise items and look their classes up."""

    items = item_of_row()

    def class_of(self, item):
        raise NotImplementedError

    def scores(self, batch, class_attributes):
        honest = super().scores(batch, class_attributes)
        for row, features in enumerate(np.asarray(batch)):
            honest[row, self.class_of(self.items[features.tobytes()])] += 1e3
        return honest


class ReadsLabels(KnowsItems):
    def class_of(self, item):
        return LABELS[item]


class ReadsFileNames(KnowsItems):
    def class_of(self, item):
        return int(FILE_NAMES[item].split("/")[3].split(".")[0])


class ReadsBatchOrder(ESZSL):
    """Takes a batch for a class-sorted list, as unshuffled test loaders give it."""

    def scores(self, batch, class_attributes):
        honest = super().scores(batch, class_attributes)
        place = np.arange(len(batch)) * len(class_attributes) // len(batch)
        honest[np.arange(len(batch)), place] += 1e3
        return honest


class AveragesOverTheBatch(ESZSL):
    """Lets each item see the mean of its batch, as VSPCN's released adapter does."""

    def scores(self, batch, class_attributes):
        return super().scores(batch - np.mean(batch, axis=0), class_attributes)


class ForgetsItsSeed(ESZSL):
    def solve(self, prepared):
        super().solve(prepared)
        self.weights = self.weights + 1e-3 * np.random.default_rng().normal(size=self.weights.shape)


class LosesState(ESZSL):
    def state(self):
        return {"weights": np.round(self.weights, 2)}


class NeverLearns(ESZSL):
    def solve(self, prepared):
        super().solve(prepared)
        self.weights = np.zeros_like(self.weights)


class DivergesQuietly(ESZSL):
    def fit(self, prepared):
        yield from super().fit(prepared)
        self.weights = self.weights * np.nan
        yield Epoch(2)


class AnswersOtherwiseAtFirst(ESZSL):
    """Leaves training mode only once it has scored."""

    bits = 1e-9

    def scores(self, batch, class_attributes):
        honest = super().scores(batch, class_attributes) + self.bits
        self.bits = 0
        return honest


CAUGHT_BY = {
    ReadsLabels: "shuffled_attributes",
    ReadsFileNames: "shuffled_attributes",
    ReadsBatchOrder: "batches",
    AveragesOverTheBatch: "batches",
    ForgetsItsSeed: "seed",
    LosesState: "state",
    NeverLearns: "learns",
    DivergesQuietly: "scores",
    AnswersOtherwiseAtFirst: "scores",
}


@pytest.mark.parametrize(
    ("cheat", "check"), CAUGHT_BY.items(), ids=lambda x: getattr(x, "__name__", x)
)
def test_cheat_is_rejected(cheat, check):
    with pytest.raises(ConformanceError):
        CHECKS[check](cheat)


class TakesAnyGrid(SVIP):
    """Merges patches 2 x 2, and does not say which grids that leaves out."""

    @classmethod
    def misfit(cls, config, grid):
        return "" if grid > 7 else "too coarse"


class TakesNoGrid(SVIP):
    @classmethod
    def misfit(cls, config, grid):
        return "too fine"


@pytest.mark.parametrize(
    ("cheat", "said"),
    [(TakesAnyGrid, "takes a grid of 8 x 8, which ends in"), (TakesNoGrid, "refuses every grid")],
)
def test_a_method_that_misjudges_grids_is_rejected(cheat, said):
    with pytest.raises(ConformanceError, match=said):
        CHECKS["grids"](cheat)


@pytest.mark.parametrize("cheat", [ReadsLabels, ReadsFileNames])
def test_cheat_that_knows_the_labels_passes_everything_else(cheat):
    """The check on shuffled attributes is the one that catches them."""
    for name, check in CHECKS.items():
        if name != "shuffled_attributes":
            check(cheat)


def test_toy_inputs_cannot_be_written_to():
    inputs = toy_dataset().inputs
    with pytest.raises(ValueError, match="read-only"):
        inputs[0] = 0
