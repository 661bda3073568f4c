"""A method with epochs, losses and a seed that matters, quick enough for every test."""

from dataclasses import replace

import numpy as np

from zslbench.data.load import DataRequest, load_dataset
from zslbench.data.types import BackboneSource
from zslbench.engines.execute import Job, write_evaluation
from zslbench.method import Epoch, Method, MethodConfig, Settings, registry
from zslbench.method.conformance import toy_dataset
from zslbench.method.incremental import IncrementalMethod
from zslbench.protocol.run import evaluate, select
from zslbench.records import Backbone, IncrementalSpec, RunSpec
from zslbench.store import Store


class Softmax(Method):
    """Softmax regression on class attributes, all items in one batch: logits x' W s."""

    class Config(MethodConfig):
        passes: int = 4
        rate: float = 2.0
        breaks: bool = False

    needs = frozenset({"features"})
    precision = "float64"

    @classmethod
    def epochs(cls, config):
        return config.passes

    def fit(self, prepared, after=None):
        if self.config.breaks:
            raise ArithmeticError("this method was told to break")
        features, attributes = prepared.inputs[:], prepared.class_attributes
        shape = features.shape[1], attributes.shape[1]
        self.weights = np.random.default_rng(self.seed).normal(0, 0.01, shape)
        truth = np.eye(len(attributes))[prepared.labels]
        for number in range(1, self.config.passes + 1):
            logits = self.scores(features, attributes)
            shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
            slope = features.T @ (truth - shares) @ attributes / len(features)
            self.weights += self.config.rate * slope
            yield Epoch(number, {"cross-entropy (mean)": -np.log(shares[truth == 1]).mean()})

    def scores(self, batch, class_attributes):
        return batch @ self.weights @ class_attributes.T

    def state(self):
        return {"weights": self.weights}

    def load_state(self, state):
        self.weights = state["weights"]


def use_softmax(monkeypatch):
    """Make `softmax` the one method there is, in this process."""
    monkeypatch.setitem(registry.method_modules(), "softmax", __name__)


def softmax_job(dataset=None, seed=0, **settings):
    """Return a run of it on the toy data."""
    dataset = dataset or toy_dataset()
    spec = RunSpec(
        method="softmax", method_version=1, config=Softmax.Config(**settings).model_dump(),
        settings=settings, dataset=dataset.name, data_digest=dataset.digest,
        backbone=dataset.backbone, seed=seed, precision="float64", tuning_worlds=2,
    )  # fmt: skip
    return Job(spec, dataset)


def commit_run(store, job):
    """Commit what `execute` commits for a run, and upload nothing; return the record."""
    choice = store.get("choice", job.spec.choice_key) or select(job.spec, job.dataset)
    store.commit(choice)
    evaluation = evaluate(job.spec, choice, job.dataset, store.commit)
    store.commit(evaluation.record, lambda folder: write_evaluation(folder, evaluation, job))
    return evaluation.record


def run_softmax(folder, root, seeds, **settings):
    """Run it on the tiny dataset with all rules; return the store."""
    store, dataset = Store(folder, uri=""), load_dataset(DataRequest("tiny", root))
    rules = {"rules": ("validation", "last", "published")}
    for seed in seeds:
        job = softmax_job(dataset, seed, rate=1e-5, **settings)
        commit_run(store, replace(job, spec=job.spec.model_copy(update=rules)))
    return store


def with_database(results):
    """Return a store in a new folder with MLflow's database in it, which nobody has opened yet."""
    results.mkdir(parents=True, exist_ok=True)
    store = Store(results)
    store.mirror._make_database()  # a copy of the one that the tests share
    return store


CHANGES_BY_NATURE = {"created", "cost", "environment", "opening", "seconds", "choice"}


def kept(store):
    """Return what the records of a store say, without what differs from run to run."""
    records = sorted((run.record for run in store.runs()), key=lambda record: record.key)
    plain = [record.model_dump(exclude=CHANGES_BY_NATURE) for record in records]
    chosen = [record.choice.model_dump(exclude=CHANGES_BY_NATURE) for record in records]
    return list(zip(plain, chosen, strict=True))


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
