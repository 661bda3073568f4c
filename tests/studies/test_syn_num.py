"""The study of the number of synthetic features, on a few birds."""

from pathlib import Path

import pandas as pd
import pytest
from scripts import load_script

from zslbench.data.load import DataRequest
from zslbench.method.registry import load_method

BIRDS = DataRequest("plumage:classes=12,unseen=2,images_per_class=6", Path("data"))
SHORT = {"epochs": 2, "steps": 2, "hidden": 16, "classifier_epochs": 2}


@pytest.fixture
def syn_num(monkeypatch):
    module = load_script("syn_num.py")
    monkeypatch.setattr(module, "METHODS", ("free",))
    monkeypatch.setattr(module, "NUMBERS", (2, 40))
    return module


@pytest.fixture
def short(monkeypatch):
    method = load_method("free")

    class Config(method.Config):
        epochs: int = SHORT["epochs"]
        steps: int = SHORT["steps"]
        hidden: int = SHORT["hidden"]
        classifier_epochs: int = SHORT["classifier_epochs"]

    monkeypatch.setattr(method, "Config", Config)
    return method


def test_a_page_compares_numbers_of_one_generator_and_a_killed_study_goes_on(
    syn_num, short, tmp_path, monkeypatch
):
    page, read, asked = tmp_path / "syn_num.md", syn_num.read, []

    def watched(name, method, cut, *others):
        asked.append(cut)
        return read(name, method, cut, *others)

    monkeypatch.setattr(syn_num, "read", watched)
    syn_num.study(BIRDS, page, 2, lambda *_: None)
    rows, text = pd.read_csv(page.with_suffix(".csv")), page.read_text()
    assert asked == [0, 1] and len(rows) == 2 * 3 * 2
    assert "trained once in each of 6 tuning worlds" in text
    assert page.with_suffix(".png").exists()
    page.with_suffix(".csv").write_text(rows[rows.cut != 1].to_csv(index=False))
    syn_num.study(BIRDS, page, 2, lambda *_: None)
    assert asked == [0, 1, 1]
    assert page.read_text() == text
    assert pd.read_csv(page.with_suffix(".csv")).equals(rows)


def test_a_number_gets_what_a_whole_fit_with_it_gives(syn_num, short):
    source = syn_num.DataSource(BIRDS)
    dataset = source.for_method("free", short, short.Config())
    world = syn_num.tuning_worlds(dataset, 1)[0]
    found = syn_num.classified(short, world, lambda *_: None)
    for number, outcome in found.items():
        model = short(short.Config(syn_num=number), 0)
        for _ in model.fit(short.prepare(world.train_set(short), model.config)):
            pass
        whole = syn_num.Outcome.of(syn_num.score(model, world), world.open_labels(), world.seen)
        assert whole.scores(0.0) == outcome.scores(0.0)
