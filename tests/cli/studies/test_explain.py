"""`zslbench explain` as a user meets it, on a tiny plumage."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from zslbench.cli import app
from zslbench.cli.studies.explain import parse_items
from zslbench.errors import ZslbenchError
from zslbench.methods.svip import SVIP
from zslbench.report.files import write_figure
from zslbench.store import Store
from zslbench.studies.explain import measure as study

BIRDS = "plumage:classes=9,unseen=3,images_per_class=5"


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Return a function that runs a command on one results folder, with its store and runs."""
    store = Store(tmp_path_factory.mktemp("explain") / "results")

    def invoke(*words):
        return CliRunner().invoke(app, [*map(str, words), "--results", str(store.results)])

    few = ["--dataset", BIRDS, "--worlds", "1", "--seeds", "0"]
    for method, more in (("svip", ()), ("vspcn", ("--set", "adapter=false"))):
        done = invoke("run", method, *few, "--set", "epochs=1", "--set", "batch_size=16", *more)
        assert done.exit_code == 0, done.stderr
    invoke.store = store
    invoke.runs = {run.record.spec.method: run for run in store.runs()}
    return invoke


@pytest.fixture(scope="module")
def explain(call):
    """Return a function that explains a method's run and gives the JSON document."""

    def read(method, *words):
        done = call("explain", call.runs[method].record.key[:10], *words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return read


@pytest.fixture(scope="module")
def svip(call, explain):
    """SVIP's run explained, with the figures drawn and the ledgers before and after."""
    before, drawn = call.store.ledger(), {}

    def keep(folder, name, figure):
        drawn[name] = figure
        return write_figure(folder, name, figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "write_figure", keep)
        found = explain("svip", "--items", 2)
    return SimpleNamespace(found=found, figures=drawn, ledgers=(before, call.store.ledger()))


@pytest.fixture
def figures(monkeypatch):
    """What is drawn, by name, and not written."""
    drawn = {}
    monkeypatch.setattr(study, "write_figure", lambda _, n, figure: drawn.update({n: figure}) or [])
    return drawn


def names(paths):
    return sorted(path.rsplit("/", 1)[1] for path in paths)


def test_svip_is_shown_with_patches_attributes_and_plane(svip):
    assert len(svip.found["items"]) == 2
    assert list(svip.figures) == ["patches", "attributes", "tsne"]
    assert [len(figure.axes) for figure in svip.figures.values()] == [2 * 3, 2 * (1 + 4), 2]
    for axes in svip.figures["patches"].axes[4:]:
        assert sum(bool(patch.get_hatch()) for patch in axes.patches) == 49 - 40
    assert "1 crown" in svip.figures["patches"]._supxlabel.get_text()


def test_the_refit_answers_as_the_run_did(svip):
    assert svip.found["agreement"] == 100


def test_no_test_label_is_opened(svip):
    before, after = svip.ledgers
    assert before == after
    assert before.total() == 2


def test_a_method_that_does_not_localise_attributes_is_shown_without(explain, figures):
    explain("vspcn", "--items", 3)
    assert list(figures) == ["patches", "tsne"]
    assert [len(figure.axes) for figure in figures.values()] == [3 * 2, 2]


def test_figures_are_files_and_artifacts_of_the_run(call, svip):
    expected = sorted(f"{n}.{k}" for n in ("patches", "attributes", "tsne") for k in ("png", "pdf"))
    assert names(svip.found["files"]) == expected
    assert svip.found["in_mlflow"]
    kept = call.store.client.list_artifacts(svip.found["run_id"], "explained")
    assert names(artifact.path for artifact in kept) == expected


def test_a_second_call_fits_nothing_and_draws_the_same(svip, explain, monkeypatch):
    paths = [Path(name) for name in svip.found["files"]]
    contents = [path.read_bytes() for path in paths]
    monkeypatch.setattr(SVIP, "fit", lambda *_: pytest.fail("fitted again"))
    assert explain("svip", "--items", 2) == svip.found
    assert [path.read_bytes() for path in paths] == contents


def test_items_are_shown_as_asked_for_and_told_by_number(svip, explain, figures):
    items = svip.found["items"][::-1]
    found = explain("svip", "--items", f"{items[0]},{items[1]}")
    assert found["items"] == items
    titles = [axes.get_title().split(",")[0] for axes in figures["patches"].axes[:2]]
    assert titles == [f"item {item}" for item in items]


def test_what_titles_tell_is_what_the_run_answered(call, svip):
    lines = (call.runs["svip"].folder / "predictions.csv").read_text().splitlines()[1:]
    answers = dict(line.split(",") for line in lines)
    items, axes_of_items = svip.found["items"], svip.figures["patches"].axes[:2]
    assert len(items) == len(axes_of_items) == 2
    for item, axes in zip(items, axes_of_items, strict=True):
        words = " ".join(axes.get_title().split())
        answer = answers[str(item)].replace("_", " ")
        assert f"taken for {answer}" in words or f"{answer} answered right" in words


def test_a_model_that_is_not_the_runs_is_told_by_its_answers(call, svip, explain, figures):
    path = call.store.results / "explained" / call.runs["svip"].record.key[:16]
    state = load_file(path / "state.safetensors")
    other = {name: np.random.default_rng(0).permutation(v.ravel()).reshape(v.shape)
             for name, v in state.items()}  # fmt: skip
    try:
        save_file(other, path / "state.safetensors")
        agreement = explain("svip", "--items", 1)["agreement"]
    finally:
        save_file(state, path / "state.safetensors")
    assert agreement < 70
    assert f"{agreement:.1f} %" in figures["tsne"]._suptitle.get_text().replace("\n", " ")


def test_damaged_parameters_are_told_by_their_file(call):
    key = call.runs["vspcn"].record.key
    path = call.store.results / "explained" / key[:16] / "state.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no tensors")
    done = call("explain", key[:10])
    path.unlink()
    assert isinstance(done.exception, ZslbenchError)
    assert f"{path}: cannot be read" in str(done.exception)


@pytest.mark.parametrize(
    ("method", "words", "said"),
    [
        ("svip", ["--items", "9999,"], "9999 is no test item"),
        ("svip", ["--items", "0"], "--items 0,"),
        ("svip", ["--items", "two"], "write how many"),
        ("svip", ["--words", "random:7"], "the word vectors (plumage, L2): name them"),
    ],
)
def test_what_cannot_be_drawn_is_said(call, method, words, said):
    done = call("explain", call.runs[method].record.key, *words)
    assert isinstance(done.exception, ZslbenchError)
    assert said in str(done.exception)


@pytest.mark.usefixtures("svip")
def test_settings_that_look_nowhere_are_told(call, monkeypatch):
    monkeypatch.setattr(SVIP, "view", lambda *_: None)
    done = call("explain", call.runs["svip"].record.key, "--items", 3)
    assert isinstance(done.exception, ZslbenchError)
    assert "has no view: with these settings" in str(done.exception)


def test_a_run_that_is_not_there_is_told_with_those_that_are(call):
    done = call("explain", "nothing")
    assert isinstance(done.exception, ZslbenchError)
    assert all(run.record.key[:12] in str(done.exception) for run in call.runs.values())


@pytest.mark.parametrize(
    ("text", "meant"), [("6", 6), ("24", 24), ("3,1", [3, 1]), ("7,", [7]), (" 1 , 2 ", [1, 2])]
)
def test_a_number_alone_is_a_count(text, meant):
    assert parse_items(text) == meant


@pytest.mark.parametrize(
    "text", ["", ",", "3,1,3", "25", "-1", "1.5", "a,b", ",".join(map(str, range(25)))]
)
def test_what_is_no_count_and_no_items_is_refused(text):
    with pytest.raises(ZslbenchError, match="--items"):
        parse_items(text)
