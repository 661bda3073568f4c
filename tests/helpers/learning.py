"""A method without a network, quick enough for every test."""

from dataclasses import replace

import numpy as np

from zslbench.data.types import BackboneSource
from zslbench.method import Epoch, Settings, registry
from zslbench.method.conformance import toy_dataset
from zslbench.method.incremental import IncrementalMethod
from zslbench.records import Backbone, IncrementalSpec


class Centroid(IncrementalMethod):
    """Nearest mean of the inputs; told to, it breaks, or keeps more than it says."""

    class Config(Settings):
        hides: bool = False
        breaks_at: int = 0

    broken = False
    seen = ()

    def __init__(self, config, seed, source):
        super().__init__(config, seed, source)
        self.means = np.empty((0, 1))
        self.hidden = None

    def learn(self, task):
        Centroid.seen = (*Centroid.seen, (task.number, len(task.labels)))
        if task.number == self.config.breaks_at and not Centroid.broken:
            Centroid.broken = True
            raise KeyboardInterrupt
        if self.config.hides:
            assert self.hidden is None, "what is not in the state came through"
            self.hidden = task.inputs[:]
        rows = task.inputs[:]
        new = [rows[task.labels == c].mean(axis=0) for c in range(task.old, task.known)]
        self.means = np.stack([*(self.means if task.old else []), *new])
        yield Epoch(1, {"nothing": 0.0})

    def scores(self, batch):
        if self.config.hides:
            self.hidden = batch
        return -((batch[:, None] - self.means[None]) ** 2).sum(axis=2)

    def state(self):
        return {"means": self.means}

    def load_state(self, state):
        self.means = state["means"]


def use_centroid(monkeypatch):
    """Make `centroid` a method, in this process."""
    monkeypatch.setitem(registry.incremental_modules(), "centroid", __name__)
    Centroid.broken, Centroid.seen = False, ()


def toy_with_source():
    """The toy dataset, said to come from a backbone that is never built."""
    record = Backbone(name="none", weights_digest="")
    source = BackboneSource(record, (0.5,), (0.5,), 1, lambda: None)
    return replace(toy_dataset(), source=source)


def centroid_spec(dataset, seed=0, **settings):
    """A run of it on a dataset."""
    return IncrementalSpec(
        method="centroid", method_version=1, config=Centroid.Config(**settings).model_dump(),
        settings=settings, dataset=dataset.name, data_digest=dataset.digest,
        backbone=dataset.backbone, seed=seed, precision=Centroid.precision, base=0, increment=5,
    )  # fmt: skip
