"""Engines: one interface, whoever does the work; and what becomes of processes that die."""

import os
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import errands
import pytest

from zslbench.data import cache
from zslbench.engines import Call, InProcess, dealt, on_ray, open_engine, processes
from zslbench.engines.processes import Processes, share
from zslbench.errors import ZslbenchError

PATIENCE = 120.0
ENGINES = {
    "in process": InProcess,
    "processes": lambda ticks: Processes(2, ticks),
}


@pytest.fixture(params=ENGINES)
def engine(request, told):
    with ENGINES[request.param](told) as opened:
        yield opened


@pytest.fixture
def told():
    """Progress as an engine tells it: a function with a list of what it was called with."""

    def tick(stage, done, total, row=0):
        tick.heard.append((stage, done, total, row))

    tick.heard = []
    return tick


def is_alive(pid):
    """Return whether a process is there, and no mere entry that waits to be collected."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def soon(condition):
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_every_call_ends_once_and_gives_what_it_returns(engine, told):
    calls = [Call(errands.greet, (n,), f"{n}: ") for n in range(5)]
    ends = list(dealt(engine, deque(calls)))
    assert sorted(end.value for end in ends) == [f"hello {n}" for n in range(5)]
    assert all(end.call in calls and not end.died for end in ends)
    assert sorted(stage for stage, *_ in told.heard) == [f"{n}: greeting" for n in range(5)]


def test_calls_may_become_ready_meanwhile(engine):
    ready = deque([Call(errands.greet, (0,))])
    ends = []
    for end in dealt(engine, ready):
        ends.append(end.value)
        if len(ends) < 4:
            ready.append(Call(errands.greet, (len(ends),)))
    assert ends == [f"hello {n}" for n in range(4)]


def test_what_the_user_can_mend_arrives_as_it_was_raised(engine):
    engine.start(Call(errands.refuse, ()))
    with pytest.raises(ZslbenchError, match=r"^att_splits.mat: is broken. Fix it.$"):
        engine.wait()


def test_mistakes_of_ours_arrive_with_their_traceback(engine):
    engine.start(Call(errands.stumble, ()))
    kind = ArithmeticError if isinstance(engine, InProcess) else RuntimeError
    with pytest.raises(kind, match="a mistake of ours") as error:
        engine.wait()
    if kind is RuntimeError:
        assert "errands.py" in str(error.value)


def test_processes_stay_and_a_killed_one_takes_nothing_with_it():
    with Processes(2) as engine:
        ready = deque([Call(errands.process, ())] * 6)
        first = {end.value[0] for end in dealt(engine, ready)}
        assert len(first) <= 2
        assert os.getpid() not in first
        (end,) = dealt(engine, deque([Call(errands.die, ())]))
        assert end.died == "killed by SIGKILL"
        ready = deque([Call(errands.process, ())] * 6)
        later = {end.value[0] for end in dealt(engine, ready)}
        assert len(first | later) <= 3
    assert soon(lambda: not any(map(is_alive, first | later)))


def test_process_in_the_middle_of_a_call_is_not_waited_for(tmp_path):
    with Processes(1) as engine:
        engine.start(Call(errands.sleep, (tmp_path / "pid",)))
        assert soon((tmp_path / "pid").exists)
    assert soon(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    pid = tmp_path / "pid"
    code = (
        "import errands, pathlib\n"
        "from zslbench.engines import Call\n"
        "from zslbench.engines.processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    engine = Processes(1)\n"
        f"    engine.start(Call(errands.sleep, (pathlib.Path({str(pid)!r}),)))\n"
        "    engine.wait()\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(errands.__file__).parent)}
    parent = subprocess.Popen([sys.executable, script], env=environment)
    try:
        assert soon(lambda: pid.exists() and pid.read_text())
        assert is_alive(int(pid.read_text()))
    finally:
        parent.kill()
        parent.wait()
    assert soon(lambda: not is_alive(int(pid.read_text())))


@pytest.mark.parametrize(
    ("cores", "wanted", "places", "threads"),
    [(8, None, 2, "4"), (8, "1", 2, "1"), (8, "6", 2, "4"), (2, None, 3, "1"), (7, None, 2, "3")],
)
def test_processes_share_the_processors(monkeypatch, cores, wanted, places, threads):
    monkeypatch.setattr(processes, "processors", lambda: cores)
    monkeypatch.setattr(processes, "gpus", lambda: [])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if wanted:
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    shared = [share(place, places) for place in range(places)]
    assert all(s["OMP_NUM_THREADS"] == s["MKL_NUM_THREADS"] == threads for s in shared)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("0,1,5", ["0", "1", "5", "0"]), ("3", [None] * 4), ("", [None] * 4)],
)
def test_each_process_has_one_gpu_where_there_are_several(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [share(place, 4).get("CUDA_VISIBLE_DEVICES") for place in range(4)] == expected


@pytest.mark.parametrize(("wanted", "found"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_threads_wait_passively_unless_the_user_has_said_how(monkeypatch, wanted, found):
    """What OpenMP itself says when it is loaded, as torch loads it."""
    library = Path(find_spec("torch").origin).parent / "lib" / "libgomp.so.1"
    if not library.exists():
        pytest.skip("this torch carries another OpenMP than libgomp")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("OMP_DISPLAY_ENV", "true")
    if wanted:
        monkeypatch.setenv("OMP_WAIT_POLICY", wanted)
    code = f"import ctypes, zslbench; ctypes.CDLL({str(library)!r})"
    words = [sys.executable, "-c", code]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    assert f"OMP_WAIT_POLICY = '{found}'" in told


def test_a_process_is_born_with_its_share(monkeypatch):
    monkeypatch.setattr(cache.os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,9")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with Processes(2) as engine:
        found = [end.value[1:] for end in dealt(engine, deque([Call(errands.process, ())] * 2))]
    assert {threads for threads, *_ in found} == {"3"}
    assert {gpu for _, gpu, _ in found} <= {"7", "9"}
    assert {wait for *_, wait in found} == {os.environ["OMP_WAIT_POLICY"]}
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--engine", "rya"), "There is no engine 'rya'. Did you mean 'ray'"),
        (("--address", "head:6379"), "address head:6379 is that of a Ray cluster"),
        (("--jobs", "0"), "--jobs"),
    ],
)
def test_engine_that_cannot_be_had_is_refused(zslbench, tiny_root, tmp_path, words, message):
    results = tmp_path / "results"
    fixed = ("run", "eszsl", "--dataset", "tiny", "--data-root", tiny_root, "--results", results)
    status, out, err = zslbench(*fixed, *words)
    assert status == 2
    assert message in err
    assert (out, results.exists()) == ("", False)


def test_ray_that_is_missing_names_the_extra(zslbench, tiny_root, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ZslbenchError, match=r"pip install 'zslbench\[ray\]'"):
        on_ray.OnRay()
    with pytest.raises(ZslbenchError, match=r"pip install 'zslbench\[ray\]'"):
        open_engine(name="ray")
