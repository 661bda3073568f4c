"""Every registered method passes every check; each planted cheat is caught by the one for it.

`make test` holds a method to the checks in `QUICK`, on few birds; the rest is slow.
"""

import numpy as np
import pytest

from zslbench.method.conformance import QUICK, ConformanceError
from zslbench.method.conformance_incremental import INCREMENTAL_CHECKS
from zslbench.method.registry import incremental_modules, load_incremental
from zslbench.methods.incremental.nearest_mean import NearestMean


def cases():
    for name in sorted(incremental_modules()):
        for check in INCREMENTAL_CHECKS:
            # Joint training has the network and the loop of fine-tuning, on more images.
            often = pytest.mark.long if name == "joint" else pytest.mark.slow
            marks = [often] if check not in QUICK else []
            yield pytest.param(name, check, marks=marks, id=f"{name}-{check}")


@pytest.mark.parametrize(("name", "check"), list(cases()))
def test_method_conforms(name, check):
    INCREMENTAL_CHECKS[check](load_incremental(name))


class AveragesOverTheBatch(NearestMean):
    """Lets each image see the mean of its batch."""

    def scores(self, batch):
        honest = super().scores(batch)
        return honest - honest.mean(axis=0)


class Hides(NearestMean):
    """Carries more than its state says."""

    def state(self):
        return {"means": np.round(super().state()["means"], 1)}

    def scores(self, batch):
        means, self.state = self.state, super().state
        try:
            return super().scores(batch)
        finally:
            self.state = means


class Draws(NearestMean):
    """Takes random numbers from nowhere."""

    def scores(self, batch):
        return super().scores(batch) + np.random.default_rng().normal(size=(len(batch), 1))


class ForgetsNewClasses(NearestMean):
    """Scores the classes of the first task alone."""

    def scores(self, batch):
        return super().scores(batch)[:, :2]


CHEATS = [
    (AveragesOverTheBatch, "batches", "scores alone"),
    (Hides, "state", "rebuilt from its state"),
    (Draws, "seed", "two fits with one seed"),
    (Draws, "scores", "scores asked for twice"),
    (ForgetsNewClasses, "scores", "classes known gave"),
]


@pytest.mark.parametrize(("cheat", "check", "said"), CHEATS)
def test_cheat_is_caught(cheat, check, said):
    with pytest.raises(ConformanceError, match=said):
        INCREMENTAL_CHECKS[check](cheat)


@pytest.mark.slow
def test_who_knows_the_labels_of_test_images_is_caught(monkeypatch):
    from zslbench.method import conformance_incremental

    known = {}
    honest = conformance_incremental._sequence

    def told(seed=0, **how):
        sequence = honest(seed, **how)
        labels = honest(seed, **how).open_labels(lambda: None)
        images = sequence.test[np.arange(len(labels))]
        known.update({im.tobytes(): c for im, c in zip(images, labels.tolist(), strict=True)})
        return sequence

    class KnowsLabels(NearestMean):
        def scores(self, batch):
            found = super().scores(batch)
            for row, image in enumerate(batch):
                found[row, known[image.tobytes()]] += 10
            return found

    monkeypatch.setattr(conformance_incremental, "_sequence", told)
    with pytest.raises(ConformanceError, match="mean nothing"):
        INCREMENTAL_CHECKS["shuffled"](KnowsLabels)
