"""Sweeps and sensitivity studies on the tiny dataset whose numbers hang on no order of trials."""

import json

from zslbench.method.registry import method_modules

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
