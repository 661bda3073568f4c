"""Local processes that stay: imports and data are paid once in each.

Every worker has a pipe of its own, so that one that is killed takes nothing with it:
`concurrent.futures` and loky end all their workers when one dies.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context

from zslbench.data.cache import processors
from zslbench.engines.calls import Call, End, Engine, Ticks, end_of, no_ticks, perform
from zslbench.inputs import whole

PATIENCE = 10.0


class Processes(Engine):
    """Calls run in processes of this machine; each has its share of the processors, and one GPU.

    Args:
        places: How many.
        ticks: Progress, a row for each process.
    """

    def __init__(self, places: int, ticks: Ticks = no_ticks) -> None:
        super().__init__(places, ticks)
        self._workers: list[_Worker | None] = [None] * places

    def __exit__(self, *_: object) -> None:
        for worker in filter(None, self._workers):
            worker.stop()

    def start(self, call: Call) -> None:
        """Give a call to an idle process, made where there is none."""
        for place, worker in enumerate(self._workers):
            if worker is None or worker.call is None:
                kept = worker or _Worker(share(place, self.places))
                self._workers[place] = kept
                kept.give(call)
                return
        raise RuntimeError("all processes are busy")

    def wait(self) -> End:
        """Pass progress on until a call ends or its process does."""
        while True:
            busy = {w.pipe: n for n, w in enumerate(self._workers) if w and w.call}
            pipe = connection.wait(list(busy))[0]
            place = busy[pipe]  # type: ignore[index]
            worker = self._workers[place]
            assert worker is not None and worker.call is not None
            call = worker.call
            try:
                kind, *words = worker.pipe.recv()
            except (EOFError, OSError):
                self._workers[place] = None
                return End(call, died=worker.death())
            if kind == "tick":
                stage, done, total = words
                self._ticks(call.label + stage, done, total, row=place)
            else:
                worker.call = None
                return end_of(call, words[0])


class _Worker:
    """A process that answers calls until its pipe is closed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        context = get_context("spawn")
        self.call: Call | None = None
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,))
        with _changed(environment):
            self._process.start()
        theirs.close()

    def give(self, call: Call) -> None:
        self.call = call
        packed = call.packed()
        with suppress(OSError):  # it has died: the next `wait` will say so
            self.pipe.send_bytes(packed)

    def death(self) -> str:
        """Return how the process died."""
        self._process.join()
        code = self._process.exitcode or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def stop(self) -> None:
        """End the process; one in the middle of a call is not waited for: a kill loses nothing."""
        self.pipe.close()
        if self.call is None:
            self._process.join(PATIENCE)
        self._process.kill()
        self._process.join()


def serve(pipe: "connection.Connection") -> None:
    """Answer calls; end when the parent does. Ctrl-C is the parent's to deal with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(*words: object) -> None:
        try:
            pipe.send(words)
        except OSError:
            os._exit(1)  # nobody waits for an answer, and a run in its middle must not go on

    while True:
        try:
            packed = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        tell("end", perform(packed, lambda *words: tell("tick", *words)))


def share(place: int, places: int) -> dict[str, str]:
    """Return the environment of one of several processes: its threads, and its GPU."""
    wanted = whole(os.environ.get("OMP_NUM_THREADS", "")) or 0
    threads = max(1, processors() // places)
    threads = min(threads, wanted) if wanted > 0 else threads
    devices = gpus()
    gpu = {"CUDA_VISIBLE_DEVICES": devices[place % len(devices)]} if len(devices) > 1 else {}
    return threads_of(threads) | gpu


def threads_of(threads: int) -> dict[str, str]:
    """Return the settings that keep a process to so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def gpus() -> list[str]:
    """Return the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


@contextmanager
def _changed(environment: Mapping[str, str]) -> Iterator[None]:
    """Change the environment that a new process is born with."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
