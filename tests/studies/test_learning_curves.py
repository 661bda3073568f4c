"""The study of learning curves, on a few birds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import load_script

from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.method.registry import load_method

BIRDS = DataRequest("plumage:classes=12,unseen=2,images_per_class=6", Path("data"))


@pytest.fixture
def curves():
    return load_script("learning_curves.py")


def config_of(name, **settings):
    return load_method(name).Config.parse({"epochs": 2, **settings}, name)


def test_a_page_shows_all_methods_and_a_killed_study_goes_on(curves, tmp_path, monkeypatch):
    page, read, asked = tmp_path / "page.md", curves.read, []

    def watched(cls, config, world):
        asked.append(cls.__name__)
        return read(cls, config, world)

    monkeypatch.setattr(curves, "read", watched)
    methods = {name: config_of(name) for name in ("vit_attr_head", "dazle")}
    source, about = DataSource(BIRDS), "Made by hand."
    curves.study(source, methods, page, about, lambda *_: None)
    rows, text = pd.read_csv(page.with_suffix(".csv")), page.read_text()
    assert asked == ["ViTAttributeHead", "DAZLE"] and len(rows) == 2 * 2
    assert "| vit_attr_head |" in text and " of 2 |" in text
    assert page.with_suffix(".png").exists()
    page.with_suffix(".csv").write_text(rows[rows.method != "dazle"].to_csv(index=False))
    curves.study(source, methods, page, about, lambda *_: None)
    assert asked[2:] == ["DAZLE"] and page.read_text() == text
    longer = {"dazle": config_of("dazle", lr=0.01)}  # other settings: another fit
    curves.study(source, longer, page, about, lambda *_: None)
    assert asked[3:] == ["DAZLE"] and "vit_attr_head" not in page.read_text()
    curves.study(source, methods, page, about, lambda *_: None)
    assert len(asked) == 4 and page.read_text() == text  # what was not shown was kept


def test_accuracies_are_means_over_classes_of_each_kind_of_image(curves):
    cls, config = load_method("dazle"), config_of("dazle")
    dataset = DataSource(BIRDS).for_method("dazle", cls, config)
    (world,) = curves.tuning_worlds(dataset, 1)
    *_, last = curves.read(cls, config, world)
    model, labels = cls(config, 0), world.open_labels()
    for _ in model.fit(world.train_set(cls, config.class_attributes)):
        pass
    attributes, seen = world.attributes(config.class_attributes), world.seen

    def accuracy(items, truth, first, end):
        scores = model.scores(dataset.inputs[items], attributes)[:, first:end]
        right = scores.argmax(axis=1) + first == truth
        return 100 * np.mean([right[truth == c].mean() for c in np.unique(truth)])

    known = labels < seen
    expected = {
        "train": accuracy(world.train, world.train_labels, 0, seen),
        "seen": accuracy(world.test[known], labels[known], 0, seen),
        "unseen": accuracy(world.test[~known], labels[~known], seen, None),
    }
    assert {part: last[part] for part in curves.PARTS} == pytest.approx(expected)
