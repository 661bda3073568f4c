"""`zslbench submit` as a user meets it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from zslbench.data.load import DataRequest, load_dataset
from zslbench.method.registry import load_method
from zslbench.protocol import final_world
from zslbench.store import Store


@pytest.fixture
def store(tmp_path):
    """The store of the results that `submit` writes to."""
    return Store(tmp_path / "results")


@pytest.fixture
def submit(zslbench, tiny_root, tmp_path):
    """Return a function that submits files for the tiny dataset, always to the same results."""

    def call(*words):
        fixed = ("submit", "--dataset", "tiny", "--data-root", tiny_root)
        return zslbench(*fixed, "--results", tmp_path / "results", *words)

    return call


@pytest.fixture
def fill(submit, tmp_path):
    """Return a function that fills in a template and gives the file's path."""

    def call(name="mine", seed=0, scores=None, **changes):
        path = tmp_path / f"{name}.npz"
        assert submit("--template", path)[0] == 0
        with np.load(path) as content:
            arrays = dict(content)
        drawn = np.random.default_rng(seed).normal(size=arrays["scores"].shape)
        arrays["scores"] = drawn if scores is None else scores
        np.savez(path, **(arrays | changes))
        return path

    return call


def eszsl_scores(run, root):
    """The score matrix of a finished ESZSL run, made anew by the method itself."""
    world = final_world(load_dataset(DataRequest("tiny", root)))
    config = load_method("eszsl").Config.model_validate(run.record.choice.config)
    model = load_method("eszsl")(config, 0)
    train = world.train_set(type(model), config.class_attributes)
    list(model.fit(model.prepare(train, config)))
    attributes = world.attributes(config.class_attributes)
    return model.scores(world.dataset.inputs[world.test], attributes)


def test_a_submitted_score_matrix_reads_as_the_run_it_came_from(
    zslbench, submit, fill, tiny_root, store
):
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", store.results, "--json")
    (ours,) = json.loads(zslbench("run", "eszsl", *words)[1])["rows"]
    (run,) = store.runs()
    gamma = run.record.rules["validation"].gamma_raw
    path = fill(scores=eszsl_scores(run, tiny_root), gamma=gamma)
    status, out, err = submit(path, "--name", "eszsl again", "--json")
    assert status == 0, err
    (theirs,) = json.loads(out)["rows"]
    for metric in ("t1", "u", "s", "h", "ausuc"):
        for population in ("these_classes", "new_classes"):
            found, expected = (row["intervals"][metric][population] for row in (theirs, ours))
            assert found == pytest.approx(expected)
    assert theirs["oracle_h"] == pytest.approx(ours["oracle_h"])
    assert theirs["plain_h"] == pytest.approx(ours["plain_h"])


def test_the_row_is_external_in_every_table_and_takes_no_place(zslbench, submit, fill, store):
    """The scores of one are the labels themselves: it would win everything."""
    with np.load(fill()) as content:
        items, names = content["items"], content["classes"].tolist()
    right = np.array([names.index(f"class_{item // 12}") for item in items])
    assert submit(fill("cheat", scores=np.eye(12)[right]), "--name", "Cheat")[0] == 0
    assert submit(fill("other"), "--name", "Other")[0] == 0
    _, out, _ = zslbench("leaderboard", "--results", store.results)
    assert "EXTERNAL: TRAINING AND SELECTION NOT" in out
    assert "test images were used, is unknown" in " ".join(out.split())
    assert "100.0" in out
    texts = {path.suffix: path.read_text() for path in store.results.glob("leaderboard.*")}
    assert set(texts) == {".md", ".csv", ".json", ".html", ".tex"}
    for suffix, text in texts.items():
        assert "external: training and selection not vouched for" in text.lower(), suffix
    assert r"\textbf" not in texts[".tex"].split(r"\toprule")[1]
    assert "class=test" in texts[".html"]


def test_external_rows_stand_below_ours_and_are_compared_with_a_reference(
    zslbench, submit, fill, tiny_root, store
):
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", store.results)
    assert zslbench("run", "eszsl", *words)[0] == 0
    assert submit(fill("a"), fill("b", seed=1), "--name", "Mine")[0] == 0
    _, out, _ = zslbench(
        "leaderboard", "--results", store.results, "--reference", "eszsl", "--json"
    )
    board = json.loads(out)
    assert [row["method"] for row in board["rows"]] == ["eszsl", "external:Mine"]
    assert (board["rows"][1]["seeds"], board["rows"][1]["openings"]) == ([0, 1], 2)
    (comparison,) = board["comparisons"]
    assert (comparison["method"][:13], comparison["reference"]) == ("external:Mine", "eszsl")
    page = (store.results / "leaderboard.html").read_text()
    assert "1 row with scores that were handed in" in page
    assert page.count('<g class="point"') == 2  # eszsl over time and memory; no cost of Mine


@pytest.mark.usefixtures("few_methods")
def test_the_table_of_a_dataset_shows_what_was_submitted_unless_it_names_its_methods(
    zslbench, submit, fill, tiny_root, store
):
    assert submit(fill(), "--name", "Mine")[0] == 0
    words = ("--dataset", "tiny", "--data-root", tiny_root, "--results", store.results, "--json")
    _, out, _ = zslbench("leaderboard", *words, "--methods", "eszsl")
    assert [row["method"] for row in json.loads(out)["rows"]] == ["eszsl"]
    _, out, err = zslbench("leaderboard", *words)
    assert {"eszsl", "external:Mine"} < {row["method"] for row in json.loads(out)["rows"]}, err
    assert json.loads(out)["missing"] == 0


def test_submitting_again_opens_nothing_and_other_scores_are_another_row(submit, fill, store):
    one, other = fill("one"), fill("other", seed=1)
    _, first, _ = submit(one, "--name", "Mine", "--details")
    _, again, _ = submit(one, "--name", "Mine", "--details")
    assert again == first
    assert "opened 1" in first
    _, second, _ = submit(other, "--name", "Mine", "--details")
    assert "opened 2" in second
    assert store.ledger().total() == 2
    assert len({run.record.spec.choice_key for run in store.runs()}) == 2


def test_one_bad_file_of_several_and_nothing_is_written(submit, fill, tmp_path):
    scores = np.full((63, 12), np.nan)
    status, out, err = submit(fill("good"), fill("bad", scores=scores), "--name", "Mine")
    assert (status, out) == (2, "")
    assert "bad.npz" in err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "results").exists()


def test_one_file_as_two_seeds_is_refused(submit, fill, tmp_path):
    path = fill()
    status, _, err = submit(path, path, "--name", "Mine")
    assert status == 2
    assert "hold the same scores" in err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name either files to score, or --template"),
        (["a.npz"], "--name is missing"),
        (["a.npz", "--template", "b.npz"], "Name either files"),
        (["a.npz", "--name", "Mine"], "no such file"),
    ],
)
def test_what_is_missing_is_said_in_one_paragraph(submit, words, said):
    status, out, err = submit(*words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.strip().count("\n") == 0


@pytest.mark.parametrize("name", ["", "<b>", "a/b", "-x", "x" * 41])
def test_a_name_that_no_table_can_show_is_refused(submit, fill, name, tmp_path):
    status, _, err = submit(fill(), f"--name={name}")
    assert status == 2
    assert "--name" in err
    assert not (tmp_path / "results").exists()


def test_a_submission_can_be_calibrated_but_not_explained(zslbench, submit, fill, store):
    submit(fill(), "--name", "Mine")
    (run,) = store.runs()
    status, _, err = zslbench("explain", run.record.key[:12], "--results", store.results)
    assert status == 2
    assert "nothing can be fitted again" in err
    words = ("calibrate", run.record.key[:12], "--results", store.results)
    status, out, err = zslbench(*words)
    assert status == 0, err
    assert "submitted" in out


def test_the_documented_way_works(zslbench, tiny_root, store, tmp_path, monkeypatch):
    """Every block under "Your own scores", in order; CUB is the tiny dataset, scores are drawn."""
    text = (Path(__file__).parents[3] / "docs" / "explain_and_submit.md").read_text()
    _, _, text = text.partition("## Your own scores")
    blocks = re.findall(r"^```(\w*)\n(.*?)```", text, re.M | re.S)
    assert [kind for kind, _ in blocks] == ["", "python", ""]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZSLBENCH_RESULTS", str(store.results))
    for kind, block in blocks:
        if kind == "python":
            exec(block, {"my_scores": drawn_scores})
        else:
            words = block.replace("CUB", "tiny").replace("~/data", str(tiny_root)).split()
            status, out, err = zslbench(*words[1:])
            assert status == 0, err
    assert "external:MyViT" in out


def drawn_scores(items, classes):
    return np.random.default_rng(0).random((len(items), len(classes)))


def test_photos_are_not_needed_to_submit(zslbench, real_data, tmp_path):
    """SUN comes with splits and an index, without features or images."""
    path = tmp_path / "sun.npz"
    words = ("submit", "--template", path, "--dataset", "SUN", "--data-root", real_data / "xlsa17")
    status, _, err = zslbench(*words)
    assert status == 0, err
    with np.load(path) as content:
        assert content["scores"].shape == (2580 + 1440, 717)
