"""`zslbench explain` as a user meets it, on a tiny plumage."""

import json

import numpy as np
import pytest
from fakes import new_store
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from zslbench.cli import app
from zslbench.cli.explain import parse_images
from zslbench.errors import ZslbenchError
from zslbench.studies import explain as study
from zslbench_methods.svip import SVIP

BIRDS = "plumage:classes=9,unseen=3,images_per_class=5"


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Return a function that runs a command on one results folder, with its store and runs."""
    store = new_store(tmp_path_factory.mktemp("explain") / "results", tmp_path_factory)

    def invoke(*words):
        return CliRunner().invoke(app, [*map(str, words), "--results", str(store.results)])

    few = ["--dataset", BIRDS, "--worlds", "1", "--seeds", "0"]
    for method in ("svip", "vit_attr_head"):
        done = invoke("run", method, *few, "--set", "epochs=2", "--set", "batch_size=16")
        assert done.exit_code == 0, done.stderr
    assert invoke("run", "eszsl", *few).exit_code == 0
    invoke.store = store
    invoke.runs = {run.record.spec.method: run for run in store.runs()}
    return invoke


@pytest.fixture
def explain(call):
    """Return a function that explains a method's run and gives the JSON document."""

    def read(method, *words):
        done = call("explain", call.runs[method].record.key[:10], *words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return read


@pytest.fixture
def figures(monkeypatch):
    """What is drawn, by name."""
    drawn = {}
    write = study.write_figure

    def keep(folder, name, figure):
        drawn[name] = figure
        return write(folder, name, figure)

    monkeypatch.setattr(study, "write_figure", keep)
    return drawn


def names(paths):
    return sorted(path.rsplit("/", 1)[1] for path in paths)


def test_svip_is_shown_with_patches_attributes_and_plane(call, explain, figures):
    ledger = call.store.ledger()
    found = explain("svip", "--images", 3)
    assert len(found["images"]) == 3
    assert found["agreement"] == 100
    assert list(figures) == ["patches", "attributes", "tsne"]
    assert [len(figure.axes) for figure in figures.values()] == [3 * 3, 3 * (1 + 4), 2]
    for axes in figures["patches"].axes[6:]:
        assert sum(bool(patch.get_hatch()) for patch in axes.patches) == 49 - 40
    assert "1 crown" in figures["patches"]._supxlabel.get_text()
    assert call.store.ledger() == ledger


def test_a_method_that_does_not_localise_attributes_is_shown_without(explain, figures):
    explain("vit_attr_head", "--images", 4)
    assert list(figures) == ["patches", "tsne"]
    assert [len(figure.axes) for figure in figures.values()] == [2 * 4, 2]


def test_figures_are_files_and_artifacts_of_the_run(call, explain):
    found = explain("svip", "--images", 2)
    expected = sorted(f"{n}.{k}" for n in ("patches", "attributes", "tsne") for k in ("png", "pdf"))
    assert names(found["files"]) == expected
    assert found["in_mlflow"]
    kept = call.store.client.list_artifacts(found["run_id"], "explained")
    assert names(artifact.path for artifact in kept) == expected


def test_a_second_call_fits_nothing_and_draws_the_same(explain, monkeypatch):
    first = explain("svip", "--images", 2)
    contents = [open(path, "rb").read() for path in first["files"]]  # noqa: SIM115, PTH123
    monkeypatch.setattr(SVIP, "fit", lambda *_: pytest.fail("fitted again"))
    again = explain("svip", "--images", 2)
    assert [open(path, "rb").read() for path in again["files"]] == contents  # noqa: SIM115, PTH123


def test_items_are_shown_as_asked_for_and_told_by_number(call, explain, figures):
    items = explain("svip", "--images", 2)["images"]
    found = explain("svip", "--images", f"{items[1]},{items[0]}")
    assert found["images"] == items[::-1]
    titles = [axes.get_title().split(",")[0] for axes in figures["patches"].axes[:2]]
    assert titles == [f"item {item}" for item in items[::-1]]
    assert explain("svip", "--images", f"{items[0]},")["images"] == items[:1]


def test_what_titles_tell_is_what_the_run_answered(call, explain, figures):
    explain("svip", "--images", 6)
    lines = (call.runs["svip"].folder / "predictions.csv").read_text().splitlines()[1:]
    answers = dict(line.split(",") for line in lines)
    for axes in figures["patches"].axes[:6]:
        words = " ".join(axes.get_title().split())
        answer = answers[words.split(",")[0].removeprefix("item ")].replace("_", " ")
        assert words.endswith("answered right") or f"taken for {answer[:20]}" in words


def test_a_model_that_is_not_the_runs_is_told_by_its_answers(call, explain, figures):
    explain("svip", "--images", 2)
    path = call.store.results / "explained" / call.runs["svip"].record.key[:16]
    state = load_file(path / "state.safetensors")
    other = {name: np.random.default_rng(0).permutation(v.ravel()).reshape(v.shape)
             for name, v in state.items()}  # fmt: skip
    try:
        save_file(other, path / "state.safetensors")
        agreement = explain("svip", "--images", 2)["agreement"]
        assert agreement < 70
        assert f"{agreement:.1f} %" in figures["tsne"]._suptitle.get_text().replace("\n", " ")
    finally:
        save_file(state, path / "state.safetensors")


def test_damaged_parameters_are_told_by_their_file(call, explain):
    explain("vit_attr_head", "--images", 1)
    key = call.runs["vit_attr_head"].record.key
    path = call.store.results / "explained" / key[:16] / "state.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    done = call("explain", key[:10])
    path.unlink()
    assert isinstance(done.exception, ZslbenchError)
    assert f"{path}: cannot be read" in str(done.exception)


@pytest.mark.parametrize(
    ("method", "words", "said"),
    [
        ("eszsl", [], "Methods that can: svip, svip_released, vit_attr_head, vspcn, zslvit"),
        ("svip", ["--images", "9999,"], "9999 is no test item"),
        ("svip", ["--images", "0"], "--images 0,"),
        ("svip", ["--images", "two"], "write how many"),
        ("svip", ["--words", "random:7"], "the word vectors (random:0, L2): name them"),
    ],
)
def test_what_cannot_be_drawn_is_said(call, method, words, said):
    done = call("explain", call.runs[method].record.key, *words)
    assert isinstance(done.exception, ZslbenchError)
    assert said in str(done.exception)


def test_a_run_that_is_not_there_is_told_with_those_that_are(call):
    done = call("explain", "nothing")
    assert isinstance(done.exception, ZslbenchError)
    assert all(run.record.key[:12] in str(done.exception) for run in call.runs.values())


@pytest.mark.parametrize(
    ("text", "meant"), [("6", 6), ("24", 24), ("3,1,3", [3, 1]), ("7,", [7]), (" 1 , 2 ", [1, 2])]
)
def test_a_number_alone_is_a_count(text, meant):
    assert parse_images(text) == meant


@pytest.mark.parametrize("text", ["", ",", "25", "-1", "1.5", "a,b", ",".join(map(str, range(25)))])
def test_what_is_no_count_and_no_items_is_refused(text):
    with pytest.raises(ZslbenchError, match="--images"):
        parse_images(text)
