"""Baselines: written with a reason, read only as written, compared only with what compares."""

import pytest

from zslbench.errors import DataError, ZslbenchError
from zslbench.records import Measurement, Scores
from zslbench.stats import METRICS
from zslbench.studies.regression.baseline import content_of, load, measured_of, save, spreads_of
from zslbench.studies.regression.compare import compare
from zslbench.studies.regression.measure import points

NAME = ("eszsl", "tiny")


def measurement(seed, repeat=0, drop=0.0, **changes):
    values = {"t1": 60 + seed + repeat, "u": 50.0 + seed, "s": 55.0, "h": 52.0, "ausuc": 0.3}
    values |= {"h": values["h"] - drop}
    about = {
        "key": f"{seed}-{repeat}", "method": "eszsl", "method_version": 1, "dataset": "tiny",
        "settings": {}, "choice_key": "c", "data_digest": "d", "protocol_version": 1,
        "measure_version": 1, "seed": seed, "repeat": repeat, "scores": Scores(**values),
        "epoch": 1, "gamma": 0.0, "code": "x", "environment_digest": "e", "seconds": 1.0,
        "environment": {"commit": "0" * 40, "dirty": "no", "torch": "2"},
    }  # fmt: skip
    return Measurement(**{**about, **changes})


def measured(seeds=range(3), repeats=(0, 1), **changes):
    return {NAME: [measurement(s, r, **changes) for s in seeds for r in repeats]}


def test_what_is_saved_is_what_is_read(tmp_path):
    path = tmp_path / "baselines" / "tiny.toml"
    save(path, content_of(measured()), "first", "a" * 40)
    found = load(path)
    assert [r["reason"] for r in found["reasons"]] == ["first"]
    for metric in METRICS:
        for repeat in (0, 1):
            ours = points(measured_of(found)[NAME], metric, repeat)
            assert ours == pytest.approx(points(measured()[NAME], metric, repeat))
    assert spreads_of(found)[NAME] == pytest.approx({**dict.fromkeys(METRICS, 0.0), "t1": 1.0})
    (cell,) = found["cells"]
    assert {"seeds", "data_digest", "environment_digest", "protocol_version"} <= cell.keys()
    assert cell["ausuc"]["value"] == pytest.approx(0.3)


def test_every_update_adds_its_reason(tmp_path):
    path = tmp_path / "tiny.toml"
    for reason in ("first", "AdamW for SGD"):
        save(path, content_of(measured()), reason, "a" * 40)
    assert [r["reason"] for r in load(path)["reasons"]] == ["first", "AdamW for SGD"]


def test_a_baseline_changed_by_hand_is_refused(tmp_path):
    path = tmp_path / "tiny.toml"
    save(path, content_of(measured()), "first", "a" * 40)
    path.write_text(path.read_text().replace("52.0", "51.0"))
    with pytest.raises(DataError, match="not as it was written"):
        load(path)


@pytest.mark.parametrize("text", [None, "", "no toml", "digest = 3"])
def test_what_is_no_baseline_is_refused(tmp_path, text):
    path = tmp_path / "tiny.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=r"tiny\.toml"):
        load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_digest": "other"}, "data digests differ"),
        ({"protocol_version": 2}, "protocol versions differ"),
        ({"measure_version": 2}, "versions of the measurement differ"),
    ],
)
def test_what_does_not_compare_is_refused(change, words):
    with pytest.raises(ZslbenchError, match=words):
        compare(measured(), measured(**change), {}, 1.0, ("before", "now"))


def test_other_seeds_and_missing_methods_are_refused():
    with pytest.raises(ZslbenchError, match="other seeds"):
        compare(measured(seeds=range(4)), measured(), {}, 1.0, ("before", "now"))
    with pytest.raises(ZslbenchError, match="was not measured"):
        compare({}, measured(), {}, 1.0, ("before", "now"))


def test_a_drop_beyond_the_margin_fails_and_one_within_passes():
    assert compare(measured(), measured(), {}, 1.0, ("a", "b")).verdict == "PASS"
    assert compare(measured(), measured(drop=0.5), {}, 1.0, ("a", "b")).verdict == "PASS"
    found = compare(measured(), measured(drop=4.0), {}, 1.0, ("a", "b"))
    assert found.verdict == "FAIL"
    assert [cell.metric for cell in found.cells if cell.test.verdict == "FAIL"] == ["h"]
    wide = {NAME: dict.fromkeys(METRICS, 4.0)}
    assert compare(measured(), measured(drop=4.0), wide, 1.0, ("a", "b")).verdict == "PASS"
