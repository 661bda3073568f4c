"""`zslbench calibrate`: what it reads, what it writes, and that it opens nothing."""

import csv
import json

import pytest
from fakes import Softmax

from zslbench.method import PublishedRule, registry
from zslbench.protocol.limits import limits_of
from zslbench.store import Store


class SvipLike(Softmax):
    """Epochs, and a published rule that chose everything on test."""

    published = PublishedRule(epoch="best", gamma="best", space="probability", average="image")

    def scores(self, batch, class_attributes):
        return super().scores(batch / 100, class_attributes)


@pytest.fixture(autouse=True)
def svip_like(monkeypatch):
    monkeypatch.setitem(registry.method_modules(), "svip_like", __name__)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("calibrate") / "results").results


@pytest.fixture
def run(zslbench, tiny_root, results):
    """Return a function that runs a method on the tiny data and returns its record."""

    def finished(method, *words, worlds=2):
        where = ("--data-root", tiny_root, "--results", results)
        shared = ("run", method, "--dataset", "tiny", "--seeds", 0, "--worlds", worlds, *where)
        status, _, err = zslbench(*shared, *words)
        assert status == 0, err
        published = ("published",) if "--rules" in words else ()
        rules = ("validation", "last", *published)
        (found,) = [
            stored.record
            for stored in Store(results).runs()
            if (stored.record.spec.method, stored.record.spec.rules) == (method, rules)
        ]
        return found

    return finished


@pytest.fixture
def calibrate(zslbench, results):
    def call(*words):
        status, out, err = zslbench("calibrate", *words, "--results", results)
        assert status == 0, err
        return out

    return call


def files(results):
    return {path.name: path.read_bytes() for path in (results / "calibration").iterdir()}


def test_every_rule_is_read_as_its_record_has_it(run, calibrate):
    record = run("eszsl", "--rules", "validation,published")
    found = json.loads(calibrate(record.key[:8], "--json"))
    assert {row["rule"] for row in found["rules"]} == {"validation", "last", "published"}
    for row in found["rules"]:
        result = record.rules[row["rule"]]
        assert (row["epoch"], row["gamma"]) == (result.epoch, result.gamma)
        for name in ("T1", "U", "S", "H", "AUSUC"):
            expected = getattr(result.scores, name.lower())
            assert row[name]["value"] == pytest.approx(expected)
            assert row[name]["low"] <= expected <= row[name]["high"]
        assert row["H_oracle_test_tuned"] == pytest.approx(record.oracle_h)


def test_published_rule_is_read_where_what_it_needs_was_kept(run, calibrate):
    """ESZSL has one epoch and publishes no calibration: nothing is missing."""
    record = run("eszsl")
    found = json.loads(calibrate(record.key, "--json"))
    published = next(row for row in found["rules"] if row["rule"] == "published")
    assert (published["gamma"], published["H"]["value"]) == (0, published["H_gamma_zero"])
    assert published["marks"] == list(limits_of(record))
    assert found["missing"] == ""


def test_ledger_and_store_do_not_change(run, calibrate, results):
    record = run("eszsl")
    before = Store(results).ledger(), len(Store(results).runs())
    for space in ("logit", "probability"):
        calibrate(record.key, "--space", space)
    assert (Store(results).ledger(), len(Store(results).runs())) == before


def test_no_gamma_is_carried_into_the_other_space(run, calibrate):
    record = run("svip_like", "--rules", "validation,published")
    assert record.rules["validation"].gamma != 0
    logits, shares = (
        json.loads(calibrate(record.key, "--space", space, "--json"))["rules"]
        for space in ("logit", "probability")
    )
    assert [row["gamma"] is None for row in logits] == [False, False, True]
    assert [row["gamma"] is None for row in shares] == [True, True, False]
    assert shares[0]["H"]["value"] == shares[0]["H_gamma_zero"]
    assert shares[0]["H_gamma_zero"] == logits[0]["H_gamma_zero"]
    assert shares[0]["AUSUC"]["value"] != logits[0]["AUSUC"]["value"]


def test_table_figure_and_exact_curve_are_written_the_same_again(run, calibrate, results):
    record = run("eszsl", "--rules", "validation,published")
    out = calibrate(record.key)
    name = f"{record.key[:12]}-logit"
    once = files(results)
    assert {f"{name}.{kind}" for kind in ("md", "csv", "png", "pdf")} <= once.keys()
    assert calibrate(record.key) == out
    assert files(results) == once
    assert "bound, no result" in out
    lines = list(csv.DictReader((results / "calibration" / f"{name}.csv").open()))
    curve = [line for line in lines if line["rule"] == "validation"]
    assert (curve[0]["U"], curve[-1]["S"], curve[-1]["up_to_gamma"]) == ("0.0", "0.0", "inf")
    assert max(float(line["H"]) for line in curve) == pytest.approx(record.oracle_h)
    gamma = record.rules["validation"].gamma
    at = next(line for line in curve if gamma <= float(line["up_to_gamma"]))
    assert float(at["H"]) == pytest.approx(record.rules["validation"].scores.h)


def test_rule_that_needs_epochs_not_kept_is_named_missing(run, calibrate):
    record = run("svip_like", worlds=1)  # a choice without alternatives keeps few epochs
    found = json.loads(calibrate(record.key, "--json"))
    assert [row["rule"] for row in found["rules"]] == ["validation", "last"]
    assert "--rules validation,published" in found["missing"]


def test_what_was_selected_on_test_is_marked(run, calibrate, results):
    record = run("svip_like", "--rules", "validation,published")
    out = calibrate(record.key, "--space", "probability")
    assert "SELECTED ON TEST" in out
    page = (results / "calibration" / f"{record.key[:12]}-probability.md").read_text()
    assert "SELECTED ON TEST" in page
    found = json.loads(calibrate(record.key, "--space", "probability", "--json"))
    published = found["rules"][-1]
    marks = ["selected on test", "per-image accuracy", *limits_of(record)]
    assert published["marks"] == marks
    assert published["H"]["value"] == pytest.approx(record.rules["published"].scores.h)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ffff",), "There are: "),
        (("",), "There are: "),
        (("{key}", "--space", "probabilty"), "Did you mean 'probability'?"),
    ],
)
def test_what_cannot_be_read_is_one_paragraph_and_writes_nothing(
    run, zslbench, results, words, said
):
    key = run("eszsl").key
    before = files(results) if (results / "calibration").exists() else {}
    words = [word.format(key=key) for word in words]
    status, out, err = zslbench("calibrate", *words, "--results", results)
    assert (status, out) == (2, "")
    assert said in err
    assert err.strip().count("\n") == 0
    assert (files(results) if (results / "calibration").exists() else {}) == before


def test_results_that_are_not_there_are_not_made(zslbench, tmp_path):
    status, _, err = zslbench("calibrate", "abc", "--results", tmp_path / "none")
    assert status == 2
    assert "There are: none" in err
    assert not (tmp_path / "none").exists()
