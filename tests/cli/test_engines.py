"""`--jobs`, `--engine` and `--address` of sweeps and sensitivity studies."""

import pytest
from searches import SEARCHES, found, nothing_runs_here


@pytest.mark.slow
@pytest.mark.parametrize("words", SEARCHES.values(), ids=SEARCHES)
def test_processes_do_all_of_it_and_find_what_one_finds(
    zslbench, tiny_root, tmp_path, monkeypatch, words
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = found(zslbench, tiny_root, tmp_path / "alone", *words)
    nothing_runs_here(monkeypatch)
    assert found(zslbench, tiny_root, tmp_path / "two", *words, "--jobs", "2") == alone


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--engine", "rya"), "Did you mean 'ray'?"),
        (("--address", "HOST:1"), "choose the engine ray"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "sensitivity"])
def test_engine_that_there_is_not_is_refused(zslbench, tiny_root, tmp_path, command, words, said):
    where = ("--dataset", "tiny", "--data-root", tiny_root, "--results", tmp_path / "results")
    status, out, err = zslbench(command, "eszsl", *where, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert not (tmp_path / "results").exists()
