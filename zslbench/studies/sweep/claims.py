"""Which trial is whose: several processes work on one sweep, and any of them may be killed.

A trial names its worker. One whose worker is gone is taken over by another: under its number, with
its point, its reports and its checkpoints. So a trial is in the study once, whatever is killed
when. Should two take it over at once, it is the later one's; the other gives up at its next epoch.

Optuna's own heartbeat and retry do less, and are not used. A journal file, the default here, has no
heartbeat; a database beats in `Study.optimize` alone, so that a trial asked for here would run for
ever. A retry is a second trial with another number, and with what was drawn: of a trial that was
killed while it was drawn, the rest is then drawn otherwise. And it is added after the first is
failed: a process killed in between loses the trial.
"""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

BEAT_SECONDS = 60.0
GRACE_SECONDS = 10 * BEAT_SECONDS


class TakenOverError(Exception):
    """The trial was reassigned because this process was presumed dead."""


def ended(study: "optuna.Study") -> "dict[int, FrozenTrial]":
    """Return by number the trials that came to an end."""
    return {t.number: t for t in study.get_trials(deepcopy=False) if t.state.is_finished()}


def claim(study: "optuna.Study", wanted: int, worker: str) -> "optuna.Trial | None":
    """Return the first trial on which nobody works, or a new one; None where none is left.

    Args:
        study: The study. Who shares a disk holds a lock meanwhile, so that no two of them want the
            same trial.
        wanted: How many trials in all.
        worker: The name under which this process can be found alive.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    signs = {"beat": time.time(), "worker": worker}
    trials = study.get_trials(deepcopy=False)
    found = next(filter(_is_free, trials[:wanted]), None)
    if found is None and len(trials) >= wanted:
        return None
    if found is None:
        study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=signs))
        trials = study.get_trials(deepcopy=False)
        found = next(t for t in trials if t.user_attrs.get("worker") == worker)
    enqueued = found.state == TrialState.WAITING  # by the user, with tools of Optuna's
    trial = study.ask() if enqueued else optuna.Trial(study, found._trial_id)
    if trial.number >= wanted:  # another machine was quicker
        _give_up(trial)
        return None
    for name, sign in signs.items():
        trial.set_user_attr(name, sign)
    return trial


def release(study: "optuna.Study", died: str = "") -> None:
    """Give up what dead processes left.

    Args:
        study: The study; its lock is held.
        died: How a process just died that nobody meant to stop. A trial to which that happens twice
            has failed.
    """
    import optuna

    for left in filter(_is_free, study.get_trials(deepcopy=False)):
        if left.user_attrs.get("beat"):  # else it was given up before
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                _give_up(optuna.Trial(study, left._trial_id), died)


def _give_up(trial: "optuna.Trial", died: str = "") -> None:
    """Let any process have a trial at once; one whose processes died twice is an error by then."""
    before = trial.user_attrs.get("lost")
    if before and died:
        error = f"RuntimeError: its process was lost twice ({before}, {died})"
        trial.set_user_attr("error", error)
    elif died:
        trial.set_user_attr("lost", died)
    trial.set_user_attr("beat", 0.0)


def report(trial: "optuna.Trial", step: int, value: float) -> bool:
    """Report a step of a trial that was claimed; return whether to prune it there.

    What was reported, and let go on, before the trial was taken over is left as it is.

    Raises:
        TakenOverError: If the trial is another worker's by now.
    """
    from optuna.exceptions import UpdateFinishedTrialError

    now = trial.study.get_trials(deepcopy=False)[trial.number]
    before = now.last_step or 0
    if now.user_attrs["worker"] != trial.user_attrs["worker"]:
        raise TakenOverError
    try:
        if step > before:
            trial.report(value, step)
    except UpdateFinishedTrialError:
        raise TakenOverError from None
    return step >= before and trial.should_prune()


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
    """Say every minute that a trial is being worked on, for other machines to read."""
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


def _is_free(trial: "FrozenTrial") -> bool:
    """Return whether a trial has not ended, and nobody works on it (any more)."""
    if trial.state.is_finished():
        return False
    place, _, name = trial.user_attrs.get("worker", "").rpartition("/")
    if place == _here():
        return _is_gone(name)
    return bool(time.time() - trial.user_attrs.get("beat", 0.0) > GRACE_SECONDS)


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
