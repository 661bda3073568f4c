"""`zslbench leaderboard SUITE`, as a user meets them."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from fakes import Softmax, use_softmax

from zslbench.engines.execute import make_choice
from zslbench.protocol.run import no_tick
from zslbench.store import Store
from zslbench.studies.archive import pack, unpack

SUFFIXES = ("md", "csv", "json", "html", "tex")
DOCUMENT = Path(__file__).parents[3] / "docs/suites.md"
BROKEN = """
title = "Softmax, with <one> row that breaks"
datasets = ["tiny"]
seeds = [0, 1]
worlds = 1
reference = "whole"
settings = { rate = 1e-5 }

[[rows]]
method = "softmax"
label = "whole"

[[rows]]
method = "softmax"
label = "w/o 50 % & #1_a"
settings = { passes = 2 }

[[rows]]
method = "softmax"
label = "broken"
settings = { breaks = true }
"""


def files(results, name):
    return {suffix: (results / f"{name}.{suffix}").read_bytes() for suffix in SUFFIXES}


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """The document's own suite, its commands as they stand there, and where results go."""
    folder = tmp_path_factory.mktemp("birds")
    text = DOCUMENT.read_text()
    example = re.search(r"<!-- example: (.*?) -->\n```toml\n(.*?)```", text, re.S)
    suite = folder / example.group(1)
    suite.write_text(example.group(2))
    commands = re.findall(r"^zslbench (.* ?my_table.toml.*)$", text, re.M)
    return suite, commands, Store(folder / "results").results


def words_of(command, suite, results):
    quoted = re.findall(r'"[^"]*"|\S+', command)
    words = [suite if word == suite.name else word.strip('"') for word in quoted]
    return [*words, "--results", results]


def test_commands_of_the_document_do_what_it_says(zslbench, birds):
    suite, commands, results = birds
    assert len(commands) == 5
    said = []
    for command in commands:
        status, out, err = zslbench(*words_of(command, suite, results))
        assert status == 0, err
        said.append((out, err))
    (plan, _), (board, first), (differences, again), (others, _), (rules, _) = said
    assert "5 to run, 0 done; time left: unknown" in plan
    assert "5 run, 0 reused, 0 failed" in first
    assert "0 run, 5 reused, 0 failed" in again
    assert "ESZSL: what its regularisers are worth" in board
    assert "hardly any on images" in board
    assert differences.count("minus ESZSL") == 4
    assert "oracle" not in differences
    assert others.count("minus eszsl (reg_s=1)") == 4
    assert "rule published" in rules


def test_plan_after_the_runs_has_nothing_to_do(zslbench, birds):
    suite, _, results = birds
    status, out, _ = zslbench("leaderboard", suite, "--results", results, "--plan", "--json")
    plan = json.loads(out)
    assert status == 0
    assert [(line["done"], line["missing"]) for line in plan["plan"]] == [(1, 0)] * 5
    assert plan["estimate"] == {"seconds": 0.0, "unknown": 0}


def test_plan_tells_the_time_from_past_runs(zslbench, birds):
    """The same rows with three tuning worlds, whose choices are still to be made."""
    suite, _, results = birds
    words = ("leaderboard", suite, "--results", results, "--worlds", 3, "--plan", "--json")
    before = sorted(path.name for path in results.iterdir())
    plan = json.loads(zslbench(*words)[1])
    assert [(line["done"], line["missing"]) for line in plan["plan"]] == [(0, 1)] * 5
    assert plan["estimate"]["unknown"] == 0
    assert plan["estimate"]["seconds"] > 0
    assert sorted(path.name for path in results.iterdir()) == before


def test_differences_stand_in_the_order_of_the_suite(zslbench, birds):
    suite, _, results = birds
    board = json.loads(zslbench("leaderboard", suite, "--results", results, "--json")[1])
    assert [c["method"] for c in board["comparisons"]] == [
        "hardly any on images", "eszsl (reg_s=0.001)", "eszsl (reg_s=1)", "eszsl (reg_s=1000)",
    ]  # fmt: skip


def test_differences_alone_write_the_same_files_and_write_them_again(zslbench, birds):
    suite, _, results = birds
    zslbench("leaderboard", suite, "--results", results)
    first = files(results, "my_table")
    assert all(first.values())
    for suffix in SUFFIXES:
        (results / f"my_table.{suffix}").unlink()
    zslbench("leaderboard", suite, "--differences", "--results", results)
    assert files(results, "my_table") == first


def test_study_is_shown_byte_for_byte_and_goes_on_elsewhere(zslbench, birds, tmp_path):
    suite, _, results = birds
    study = tmp_path / "study"
    words = ("leaderboard", suite, "--study", study, "--results")
    assert zslbench(*words, results)[0] == 0
    archive, tables = study / "my_table.tar.xz", files(study, "my_table")
    first = archive.read_bytes()
    assert zslbench("leaderboard", archive, "--results", tmp_path / "shown")[0] == 0
    assert files(tmp_path / "shown", "my_table") == tables
    assert [path.name for path in (tmp_path / "shown").iterdir() if path.is_dir()] == []
    status, _, err = zslbench(*words, tmp_path / "elsewhere")
    assert (status, "0 run, 5 reused" in err) == (0, True)
    assert archive.read_bytes() == first
    assert files(study, "my_table") == tables


EVERY_EPOCH = """
title = "Generators, every epoch scored on test"
datasets = ["tiny"]
seeds = [0, 1]
worlds = 2
rules = ["validation", "last", "published"]
settings = { epochs = 4, steps = 2, hidden = 16, classifier_epochs = 5 }

[[rows]]
method = "f_clswgan"
"""


def test_study_that_scored_every_epoch_is_packed_with_what_tables_read(
    zslbench, tiny_root, tmp_path
):
    suite, study = tmp_path / "every_epoch.toml", tmp_path / "study"
    suite.write_text(EVERY_EPOCH)
    words = ("leaderboard", suite, "--data-root", tiny_root, "--study", study, "--results")
    assert zslbench(*words, tmp_path / "results")[0] == 0
    archive, tables = study / "every_epoch.tar.xz", files(study, "every_epoch")
    assert "classifier epoch" in tables["md"].decode()  # which takes all 20 epochs to tell
    first, members = archive.read_bytes(), unpack(archive)
    kept = [np.load(io.BytesIO(members[n])) for n in members if n.endswith("summaries.npy")]
    assert all(1 <= len(epochs) < 12 for epochs in kept) and len(kept) == 2
    assert zslbench("leaderboard", archive, "--results", tmp_path / "shown")[0] == 0
    assert files(tmp_path / "shown", "every_epoch") == tables
    status, _, err = zslbench(*words, tmp_path / "elsewhere")
    assert (status, "0 run, 2 reused" in err) == (0, True)
    assert archive.read_bytes() == first and files(study, "every_epoch") == tables
    for content in (b"{}{", b'{"all": {"optimism": "much"}}', b'{"luck": {}}'):
        told = {name: content for name in members if name.endswith("inflation.json")}
        pack(archive, members | told)
        status, _, err = zslbench("leaderboard", archive, "--results", tmp_path / "shown")
        assert (status, "is not what an archive holds" in err) == (2, True)


def test_study_that_is_stopped_is_packed_as_far_as_it_is_done(
    zslbench, birds, tmp_path, monkeypatch
):
    suite, _, results = birds

    def stopped(jobs, store, **_):
        make_choice(jobs[0], store, tick=no_tick)
        raise KeyboardInterrupt

    monkeypatch.setattr("zslbench.studies.leaderboard.measure.execute", stopped)
    words = ("--worlds", 2, "--study", tmp_path, "--results", results)
    assert zslbench("leaderboard", suite, *words)[0] == 130
    zslbench("leaderboard", tmp_path / "my_table.tar.xz", "--results", tmp_path)
    assert "(PARTIAL: 5 of 5 runs are missing)" in (tmp_path / "my_table.md").read_text()
    assert sum(name.startswith("runs/choice") for name in unpack(tmp_path / "my_table.tar.xz")) == 1


def test_an_archive_is_shown_from_any_of_its_rows(zslbench, birds, tmp_path):
    suite, _, results = birds
    zslbench("leaderboard", suite, "--study", tmp_path, "--results", results)
    archive, row = tmp_path / "my_table.tar.xz", "hardly any on images"
    words = ("leaderboard", archive, "--results", tmp_path / "shown", "--reference")
    status, out, _ = zslbench(*words, row, "--differences")
    assert status == 0 and f"minus {row}" in " ".join(out.split())
    status, _, err = zslbench(*words, "hardly any on image")
    assert (status, f"Did you mean '{row}'?" in err) == (2, True)


def test_an_archive_is_shown_and_nothing_else(zslbench, birds, tmp_path):
    suite, _, results = birds
    zslbench("leaderboard", suite, "--study", tmp_path, "--results", results)
    archive = tmp_path / "my_table.tar.xz"
    status, _, err = zslbench("leaderboard", archive, "--seeds", 4, "--results", tmp_path)
    assert (status, "as it was packed: leave everything but a reference out" in err) == (2, True)
    archive.write_bytes(b"")
    status, _, err = zslbench("leaderboard", archive, "--results", tmp_path)
    assert (status, "is no archive of runs" in err) == (2, True)


def test_tables_call_rows_as_the_suite_does(zslbench, birds):
    suite, _, results = birds
    zslbench("leaderboard", suite, "--results", results)
    texts = {suffix: text.decode() for suffix, text in files(results, "my_table").items()}
    assert all("hardly any on images" in text for text in texts.values())
    assert "eszsl (reg_x=1e-06)" in texts["md"]
    assert "On 72 birds, to show the form." in texts["html"]
    for suffix in ("md", "html", "tex"):
        assert "PARTIAL" not in texts[suffix]


@pytest.fixture
def broken(tmp_path, monkeypatch, zslbench, tiny_root):
    """Run a suite of the softmax: `broken(command, ...)` gives status, output, errors."""
    use_softmax(monkeypatch)
    (tmp_path / "broken.toml").write_text(BROKEN)
    results = Store(tmp_path / "results").results
    common = ("--data-root", tiny_root, "--results", results)
    return lambda command, *words: zslbench(command, tmp_path / "broken.toml", *common, *words)


def test_failed_row_is_listed_left_alone_and_run_again_on_request(broken, tmp_path, monkeypatch):
    error = "ArithmeticError: this method was told to break"
    status, _, err = broken("leaderboard", "--differences")
    assert status == 1
    assert "4 run, 0 reused, 2 failed" in err
    assert f"softmax on tiny, seed 1: {error}" in err

    monkeypatch.setattr(Softmax, "fit", lambda *_: pytest.fail("nothing is to be run"))
    status, out, err = broken("leaderboard")
    assert status == 1
    assert "0 run, 4 reused, 2 failed" in err
    assert "--retry runs them again" in err
    assert error in " ".join(out.split())
    texts = {s: text.decode() for s, text in files(tmp_path / "results", "broken").items()}
    missing = "(PARTIAL: 2 of 6 runs are missing)"
    assert f"# Softmax, with &lt;one> row that breaks {missing}" in texts["md"]
    assert f"<h1>Softmax, with &lt;one&gt; row that breaks {missing}</h1>" in texts["html"]
    assert (
        rf"Softmax, with \textless{{}}one\textgreater{{}} row that breaks {missing}"
        in (texts["tex"])
    )
    assert r"{w/o 50 \% \& \#1\_a$^{" in texts["tex"]
    assert error in texts["md"]
    assert error in texts["html"]

    _, out, _ = broken("leaderboard", "--plan")
    assert f"failed: broken on tiny: seed 0: {error}" in out
    assert "0 to run, 4 done, 2 failed\n" in out
    assert "2 failed and to be run again" in broken("leaderboard", "--plan", "--retry")[1]

    monkeypatch.undo()
    use_softmax(monkeypatch)
    real = Softmax.fit

    def mended(self, prepared, after=None):
        self.config = self.config.model_copy(update={"breaks": False})
        return real(self, prepared, after)

    monkeypatch.setattr(Softmax, "fit", mended)
    status, _, err = broken("leaderboard", "--retry")
    assert status == 0
    assert "2 run, 4 reused, 0 failed" in err
    assert "PARTIAL" not in (tmp_path / "results/broken.md").read_text()


def test_table_whose_reference_failed_has_no_differences(broken, tmp_path):
    status, out, err = broken("leaderboard", "--differences", "--reference", "broken")
    assert status == 1
    assert "no run of the reference broken is done" in err
    assert "PARTIAL" in out
    assert json.loads((tmp_path / "results/broken.json").read_text())["comparisons"] == []


def test_suite_with_seeds_has_win_rates(broken, tmp_path):
    broken("leaderboard")
    board = json.loads((tmp_path / "results/broken.json").read_text())
    assert {s["method"] for s in board["standings"]} == {"whole", "w/o 50 % & #1_a"}
    assert sum(s["win_rate"] for s in board["standings"]) == pytest.approx(100)
    for suffix in ("md", "html"):
        text = (tmp_path / f"results/broken.{suffix}").read_text().casefold()
        assert "win rates and ranks" in text
        assert "critical-difference diagram" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["leaderboard", "svip_tabel2"], "Did you mean 'svip_table2'?"),
        (["leaderboard", "svip_table2", "--methods", "svip"], "the suite names its rows"),
        (["leaderboard", "--plan"], "name a suite, or datasets"),
        (["leaderboard", "plain.toml", "--differences"], "name one with --reference ROW"),
        (["leaderboard", "plain.toml", "--reference", "eszl"], "Did you mean 'eszsl'?"),
        (
            ["leaderboard", "plain.toml", "--reference", "eszsl", "--dataset", "tinny"],
            "mean 'tiny'?",
        ),
        (
            ["leaderboard", "plain.toml", "--reference", "eszsl", "--rules", "best"],
            "no rule 'best'",
        ),
        (["leaderboard", "absent.toml"], "absent.toml: there is no such file"),
    ],
)
def test_what_the_user_can_mend_is_one_paragraph(
    zslbench, tiny_root, tmp_path, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    Path("plain.toml").write_text('title = "t"\ndatasets = ["tiny"]\nrows = [{method = "eszsl"}]')
    status, out, err = zslbench(*words, "--data-root", tiny_root, "--results", "results")
    assert status == 2
    assert said in err
    assert err.strip().count("\n") == 0
    assert out == ""
    assert not Path("results").exists()
