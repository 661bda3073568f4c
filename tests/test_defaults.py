"""The search of defaults, on a few birds: equal for all, resumed, every trial published."""

import sys
from functools import partial
from pathlib import Path

import pytest
from scripts import load_script
from searches import nothing_runs_here

from zslbench.cli import options
from zslbench.data.load import DataRequest
from zslbench.studies.archive import unpack
from zslbench.studies.session import session
from zslbench.studies.sweep import trials

BIRDS = DataRequest("plumage:classes=12,unseen=2,images_per_class=6", Path("data"))


@pytest.fixture(scope="module")
def defaults():
    return load_script("defaults.py")


def pages(defaults, results, out):
    """Search with a small budget; return the bytes of what is written, and what was found."""
    budget = defaults.Budget(short=1, longer=(2,), worlds=1, trials=3, kept=1)
    with session(results) as at:
        found = defaults.searched("vit_attr_head", BIRDS, budget, at.store, at.engine)
        assert at.store.ledger().total() == 0
    defaults.write(defaults.Defaults("it", BIRDS.name, budget, [found]), out / "defaults.md")
    return {path.name: path.read_bytes() for path in out.iterdir()}, found


def test_every_trial_is_published_and_the_same_command_runs_none_again(
    defaults, tmp_path, monkeypatch
):
    written, found = pages(defaults, tmp_path / "results", tmp_path / "first")
    configs = [trial.spec.config for trial in found.trials]
    first = {name: configs[0][name] for name in ("lr", "backbone_lr", "frozen_epochs")}
    assert first == {"lr": 1e-3, "backbone_lr": 1e-4, "frozen_epochs": 0}
    assert [config["epochs"] for config in configs] == [1, 1, 1, 2]
    best = max(found.trials[:3], key=lambda trial: trial.value)
    assert configs[3] == best.spec.config | {"epochs": 2}
    curve = found.so_far()
    assert curve == sorted(curve) and curve[-1] == found.best.value

    page = written["defaults.md"].decode()
    assert written.keys() == {"defaults.md", "defaults.csv", "defaults.png", "defaults.pdf"}
    assert page.count("| complete |") == 4
    assert len(written["defaults.csv"].splitlines()) == 1 + 4
    assert "EPOCH 2 OF 2 CHOSEN: RAISE EPOCHS" in page or found.best.choice.epoch < 2
    nothing_runs_here(monkeypatch)
    assert pages(defaults, tmp_path / "results", tmp_path / "again")[0] == written


def test_failed_trials_are_published(defaults, tmp_path, monkeypatch):
    nothing_runs_here(monkeypatch)
    written, found = pages(defaults, tmp_path / "results", tmp_path / "page")
    assert (found.best, found.so_far()) == (None, [None] * 3)
    page = written["defaults.md"].decode()
    assert "| vit_attr_head | - | - | - | 3 | 0 | 3 |" in page
    assert page.count("| failed | 1 |") == 3 and "ZeroDivisionError" in page


def test_a_search_that_was_stopped_resumes_elsewhere_from_its_archive(
    defaults, tmp_path, monkeypatch
):
    monkeypatch.setattr(defaults, "Budget", partial(defaults.Budget, trials=3, kept=1))
    page, select, tried = tmp_path / "defaults.md", trials.select, []

    def search(results, until):
        def counted(*args):
            tried.append(results)
            if len(tried) == until:
                raise KeyboardInterrupt
            return select(*args)

        monkeypatch.setattr(trials, "select", counted)
        words = ["--dataset", BIRDS.name, "--methods", "vit_attr_head", "--epochs", "1"]
        where = ["--longer", "2", "--worlds", "1", "--results", tmp_path / results, "--page", page]
        monkeypatch.setattr(sys, "argv", ["defaults.py", *map(str, (*words, *where))])
        with pytest.raises(SystemExit) as end:
            options.run_script(defaults.main)
        return end.value.code

    assert search("here", until=3) == 130
    members = unpack(page.with_suffix(".tar.xz"))
    assert sum("/trial-" in name for name in members) == 2 and not page.exists()
    assert search("there", until=99) == 0
    members = unpack(page.with_suffix(".tar.xz"))
    assert sum("/trial-" in name for name in members) == 4
    assert tried == ["here"] * 3 + ["there"] * 2


@pytest.mark.parametrize(
    ("method", "searched"),
    [
        ("svip", {"lr": (1e-4, 1e-2), "backbone_lr": (1e-5, 1e-3), "frozen_epochs": (0, 3)}),
        ("vspcn", {"lr": (1e-4, 1e-2), "weight_decay": (1e-5, 1e-3)}),
        ("coop", {"lr": (2e-4, 2e-2), "weight_decay": (5e-5, 5e-3)}),
    ],
)
def test_rates_are_searched_around_the_defaults(defaults, method, searched):
    found = {axis.name: axis.choices or (axis.low, axis.high) for axis in defaults.space_of(method)}
    assert found.keys() == searched.keys()
    for name, ends in searched.items():
        assert found[name] == pytest.approx(ends)


def test_a_release_keeps_its_own_settings(defaults):
    assert {"svip", "vit_attr_head", "zslvit", "zeromamba"} <= set(defaults.trained_methods())
    assert not {"svip_released", "clip_zero_shot", "eszsl"} & set(defaults.trained_methods())
