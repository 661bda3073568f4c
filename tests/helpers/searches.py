"""Sweeps and sensitivity studies whose numbers do not depend on the order of trials."""

import json

import optuna
from fakes import Softmax

from zslbench.engines.execute import Job
from zslbench.method import hyper
from zslbench.method.registry import method_modules
from zslbench.studies.plan import spec_of
from zslbench.studies.sweep.plan import SweepPlan
from zslbench.studies.sweep.space import parse_space

SEARCHED = sorted(method_modules().keys() - {"clip_zero_shot"})  # which trains nothing

ALE = ("ale", "--dataset", "tiny", "--worlds", "2", "--set", "lr=1", "--set", "epochs=3")
GRID = ("--grid", "margin=0.5,1")
SEARCHES = {
    "sweep": ("sweep", *ALE, "--space", "margin=0.1:2", "--sampler", "random", "--trials", "5"),
    "sensitivity": ("sensitivity", *ALE, *GRID, "--seeds", "0,1"),
    "sensitivity on test": ("sensitivity", *ALE, *GRID, "--seeds", "0", "--final"),
}


def found(zslbench, data_root, results, *words):
    """Run one; return its JSON document."""
    where = ("--data-root", data_root, "--results", results, "--json")
    status, out, err = zslbench(*words, *where)
    assert status == 0, err
    return json.loads(out)


def nothing_runs_here(monkeypatch):
    """Make this process unable to fit and score; others are as they were."""
    for name in (
        "engines.execute.select",
        "engines.execute.evaluate",
        "studies.sweep.trials.select",
    ):
        monkeypatch.setattr(f"zslbench.{name}", lambda *_, **__: 1 / 0)


WORLDS, PASSES = 2, 4


class Tunable(Softmax):
    """Softmax with two settings to search, one of them open."""

    class Config(Softmax.Config):
        rate: float = hyper(2.0, low=0.01, high=10.0, log=True, symbol="eta", doc="rate")
        decay: float | None = hyper(
            None, low=0.0, high=0.5, grid=(0.0, 0.4), symbol="wd", doc="shrinkage of the weights"
        )

    def scores(self, batch, class_attributes):
        return super().scores(batch, class_attributes) * (1 - (self.config.decay or 0.0))


def base_run(dataset, **settings):
    spec = spec_of("tunable", Tunable, Tunable.Config(**settings), dataset)
    return Job(spec.model_copy(update={"tuning_worlds": WORLDS}), dataset)


def plan_of(dataset, *space, settings=(), **more):
    settings = dict(settings)
    searched = parse_space(Tunable, "tunable", space, settings)
    return SweepPlan(base_run(dataset, **settings), tuple(searched), **more)


def rate_plan(dataset, **more):
    """A sweep over the rate alone."""
    return plan_of(dataset, "rate=0.1:10:log", settings={"decay": 0.0}, **more)


def study_of(store, plan):
    journal = optuna.storages.journal.JournalFileBackend(
        str(store.results / "sweeps" / f"{plan.name}.journal")
    )
    return optuna.load_study(study_name=plan.name, storage=optuna.storages.JournalStorage(journal))


def shown(store, kind):
    """Return what MLflow shows of one kind of record."""
    found = store.client.search_experiments()
    experiments = [experiment.experiment_id for experiment in found]
    return list(store.client.search_runs(experiments, f"tags.`zslbench.kind` = '{kind}'"))
