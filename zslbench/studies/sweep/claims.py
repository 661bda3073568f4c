"""Which trial is whose: several processes work on one sweep, and any of them may be killed.

A trial that its process left running is failed, and another one is enqueued in its place with the
same number and, where it was drawn to its end, the same point. So every number is tried to its end
once, whatever is killed when.
"""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from zslbench.studies.sweep.plan import SweepPlan
from zslbench.studies.sweep.storage import draw

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

BEAT_SECONDS = 60.0
GRACE_SECONDS = 10 * BEAT_SECONDS


def numbers(trials: "Sequence[FrozenTrial]") -> dict[int, int]:
    """Return Optuna's number -> ours: one that stands in for another has the other's.

    It hangs on nothing but the trials before it, so that all processes agree.
    """
    found: dict[int, int] = {}
    fresh = 0
    for trial in trials:
        again = trial.user_attrs.get("again")
        found[trial.number] = fresh if again is None else found[again]
        fresh += again is None
    return found


def _void(trials: "Sequence[FrozenTrial]") -> set[int]:
    """Return second replacements of one trial: two processes found it at the same time."""
    seen: set[int] = set()
    void = set()
    for trial in trials:
        again = trial.user_attrs.get("again")
        if again in seen:
            void.add(trial.number)
        elif again is not None:
            seen.add(again)
    return void


def ended(study: "optuna.Study") -> "dict[int, FrozenTrial]":
    """Return by our number the trials that came to an end of their own; an interrupted one has not.

    A failed trial has an error; one without was interrupted.
    """
    trials = study.get_trials(deepcopy=False)
    ours = numbers(trials)
    return {ours[t.number]: t for t in trials if t.state.is_finished() and not _interrupted(t)}


def _interrupted(trial: "FrozenTrial") -> bool:
    return trial.state.name == "FAIL" and "error" not in trial.user_attrs


def recover(
    study: "optuna.Study", plan: SweepPlan, wanted: int, *, alone: bool, died: str = ""
) -> None:
    """Fail what dead processes left running, and enqueue again what was interrupted, once.

    Args:
        study: The study; the lock of its claims is held.
        plan: The sweep.
        wanted: Trials from this number on are not wanted now.
        alone: Whether nobody can claim trials without that lock.
        died: How a process just died that nobody meant to stop; a trial to which that happens
            twice is enqueued as one that has failed.
    """
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    ours, void = numbers(trials), _void(trials)
    replaced = {trial.user_attrs.get("again") for trial in trials}
    for trial in trials:
        left = trial.state == TrialState.RUNNING and _is_left(trial, alone=alone)
        lost = (left or _interrupted(trial)) and trial.number not in void
        if lost and trial.number not in replaced and ours[trial.number] < wanted:
            whole = len(trial.params) == len(plan.space)
            point = trial.params if whole else trial.system_attrs.get("fixed_params", {})
            study.enqueue_trial(point, user_attrs={"again": trial.number, **_fate(trial, died)})
        if left:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _fate(trial: "FrozenTrial", died: str) -> dict[str, str]:
    """Return what the replacement of a trial has to know of how its processes died."""
    before = trial.user_attrs.get("lost")
    if before and died:
        return {"error": f"RuntimeError: its process was lost twice ({before}, {died})"}
    return {"lost": before or died} if before or died else {}


def claim(
    study: "optuna.Study",
    plan: SweepPlan,
    wanted: int,
    first: Sequence[Mapping[str, Any]],
    worker: str,
) -> "tuple[int, optuna.Trial] | None":
    """Return a trial to be run, drawn, with its number; None where none is left.

    Args:
        study: The study; the lock of its claims is held.
        plan: The sweep.
        wanted: How many trials in all.
        first: The points that are tried before any is drawn.
        worker: The name under which this process can be found alive.
    """
    from optuna.trial import TrialState

    while True:
        trials = study.get_trials(deepcopy=False)
        ours, void = numbers(trials), _void(trials)
        held = {
            ours[t.number]
            for t in trials
            if t.number not in void and t.state != TrialState.WAITING and not _interrupted(t)
        }
        if held.issuperset(range(wanted)):
            return None
        trial = study.ask()
        trial.set_user_attr("beat", time.time())
        trial.set_user_attr("worker", worker)
        trials = study.get_trials(deepcopy=False)
        number = numbers(trials)[trial.number]
        if number < wanted and trial.number not in _void(trials):
            draw(trial, plan, number, first)
            return number, trial
        study.tell(trial, state=TrialState.FAIL)  # another process was quicker


# -- who is alive --------------------------------------------------------------------------------


@contextmanager
def working() -> Iterator[str]:
    """Yield a name of what goes on inside; other processes can tell whether it still does."""
    name = uuid4().hex
    path = _folder() / name
    with FileLock(path):
        yield f"{_here()}/{name}"
    path.unlink(missing_ok=True)


@contextmanager
def beating(trial: "optuna.Trial") -> Iterator[None]:
    """Say every minute that a trial is being worked on, for other hosts to read."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            with suppress(Exception):  # a database that is away for a while costs one beat
                trial.set_user_attr("beat", time.time())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _is_left(trial: "FrozenTrial", *, alone: bool) -> bool:
    """Return whether nobody works on a running trial any more."""
    worker = trial.user_attrs.get("worker")
    if worker is None and alone:
        return True
    if worker is not None and worker.rpartition("/")[0] == _here():
        return _is_gone(str(worker).rpartition("/")[2])
    began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    seen: float = trial.user_attrs.get("beat", began)  # Optuna's times are without a time zone
    return time.time() - seen > (BEAT_SECONDS if worker is None else GRACE_SECONDS)


def _is_gone(name: str) -> bool:
    """Return whether the work of a name is over, or its process was killed: its lock is free."""
    path = _folder() / name
    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"zslbench-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder


def _here() -> str:
    """Return the place whose processes see each other's locks: two jobs may each have a /tmp."""
    folder, boot = _folder(), Path("/proc/sys/kernel/random/boot_id")
    where = folder.stat()
    started = boot.read_text().strip() if boot.is_file() else ""
    return f"{socket.gethostname()}:{started}:{folder}:{where.st_dev}:{where.st_ino}"
