"""What a sensitivity study measures at each point: in tuning worlds, or on test classes."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from zslbench.engines import Call, Engine, InProcess, dealt
from zslbench.execute import Job, choice_key, execute, failure_of, make_choice
from zslbench.records import Choice, Failure, Record
from zslbench.registry import load_method
from zslbench.report.groups import Group
from zslbench.report.sensitivity import Point
from zslbench.run import Tick
from zslbench.stats import METRICS, Interval, Metric, Reading, intervals, over_seeds, paired
from zslbench.studies.trials import objective
from zslbench.tracking import Store, Stored

DEFAULTS = "defaults"

Values = list[dict[Metric, float]]


def in_tuning_worlds(
    jobs: Mapping[str, Job], seeds: Sequence[int], store: Store, tick: Tick, engine: Engine | None
) -> tuple[dict[str, Point], list[Failure]]:
    """Make every choice that is missing; a point's readings are those of each seed's worlds."""
    keys = {(name, s): choice_key(job.spec, s) for s in seeds for name, job in jobs.items()}
    missing = [place for place, key in keys.items() if not store.has("choice", key)]
    failures: list[Failure] = []
    progress = _Progress(
        jobs[DEFAULTS].spec.method, [_epochs(jobs[name]) for name, _ in missing], tick
    )
    engine = engine or InProcess(progress)
    ready = deque(
        Call(make_choice, (jobs[name], store, seed), f"{name}, seed {seed}: ")
        for name, seed in missing
    )
    for end in dealt(engine, ready):
        job, _, seed = end.call.arguments
        outcome = end.value
        if end.died:
            outcome = failure_of(job.spec, RuntimeError(f"its process was lost ({end.died})"))
        if outcome is None:
            choice = store.get("choice", choice_key(job.spec, seed))
            progress.found(end.call.label, choice)
        elif end.died and not end.call.again:
            ready.append(replace(end.call, again=True))
            continue
        else:
            failures.append(outcome)
            store.commit(outcome)
        progress.ended(engine)
    found: dict[str, dict[int, Values]] = {name: {} for name in jobs}
    for (name, seed), key in keys.items():
        choice = store.get("choice", key)
        if isinstance(choice, Choice):
            found[name][seed] = _by_world(choice)
    base = found[DEFAULTS]
    points = {name: _tuned(mine, base) for name, mine in found.items() if mine.keys() & base}
    return points, failures


def _by_world(choice: Choice) -> Values:
    return [{m: getattr(world.scores, m) for m in METRICS} for world in choice.worlds]


def _tuned(mine: Mapping[int, Values], base: Mapping[int, Values]) -> Point:
    """Return means over all worlds of all seeds, each a draw of classes, images and start."""
    worlds = [world for seed in mine for world in mine[seed]]
    means = {m: over_seeds([world[m] for world in worlds]) for m in METRICS}
    tops = {metric: 1.0 if metric == "ausuc" else 100.0 for metric in METRICS}
    pairs = [pair for s in mine if s in base for pair in zip(mine[s], base[s], strict=True)]
    return Point(
        None,
        tuple(mine),
        {m: Interval(i.mean, max(i.low, 0.0), min(i.high, tops[m])) for m, i in means.items()},
        over_seeds([ours["h"] - theirs["h"] for ours, theirs in pairs]),
    )


class _Progress:
    """Says what runs, what is best so far, and how far all that is missing is.

    In this process it ticks in epochs; of several processes each ticks for itself, and the points
    are counted.

    Args:
        method: Its name.
        epochs: Of each point that is missing, in the order they are done in.
        tick: Where progress made in this process is shown.
    """

    def __init__(self, method: str, epochs: Sequence[int], tick: Tick) -> None:
        self._name, self._tick = f"{method}: {len(epochs)} points", tick
        self._ends = [0, *accumulate(epochs)]
        self._points = self._epoch = 0
        self._best, self._said = 0.0, ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take in an epoch of the point that runs here."""
        self._epoch += 1
        running = stage.split(": ", maxsplit=1)[0]
        shown = f"{self._name}, in epochs; {running}{self._said}"
        self._tick(shown, self._epoch, self._ends[-1])

    def found(self, label: str, choice: Record | None) -> None:
        """Take in what came of a point."""
        h = objective(choice) if isinstance(choice, Choice) else 0.0
        if h > self._best:
            self._best, self._said = h, f"; best H {h:.1f} ({label.removesuffix(': ')})"

    def ended(self, engine: Engine) -> None:
        """Take in that a point has ended, one way or the other."""
        self._points += 1
        self._epoch = self._ends[self._points]
        engine.tell(f"{self._name}{self._said}", self._points, len(self._ends) - 1)


def _epochs(job: Job) -> int:
    """Return the epochs of a choice, over all its worlds; nothing is open in its config."""
    cls = load_method(job.spec.method)
    return cls.epochs(cls.Config.model_validate(job.spec.config)) * job.spec.tuning_worlds


# -- in the final world --------------------------------------------------------------------------


def on_test(
    jobs: Mapping[str, Job], seeds: Sequence[int], store: Store, tick: Tick, engine: Engine | None
) -> tuple[dict[str, Point], list[Failure]]:
    """Run what is missing as runs like any others: chosen in tuning worlds, opened once each."""
    runs = {
        name: [replace(job, spec=job.spec.model_copy(update={"seed": seed})) for seed in seeds]
        for name, job in jobs.items()
    }
    names = {run.spec.key: name for name, group in runs.items() for run in group}
    report = execute([run for group in runs.values() for run in group], store, tick, engine)
    found: dict[str, list[Stored]] = {}
    for run in store.runs():
        if run.record.key in names:
            found.setdefault(names[run.record.key], []).append(run)
    groups = {
        name: Group("validation", tuple(sorted(mine, key=lambda run: run.record.spec.seed)))
        for name, mine in found.items()
    }
    base = groups.get(DEFAULTS)
    points = {name: _tested(group, base) for name, group in groups.items() if base}
    return {name: point for name, point in points.items() if point}, report.failures


def _tested(mine: Group, base: Group) -> Point | None:
    both = [seed for seed in mine.seeds if seed in base.seeds]
    if not both:
        return None
    ours, theirs = (
        [reading for seed, reading in zip(group.seeds, _readings(group), strict=True)
         if seed in both]
        for group in (mine, base)
    )  # fmt: skip
    found = paired(ours, theirs, "h", "these_classes")
    each = intervals(mine.outcomes, mine.gammas)
    return Point(
        None,
        mine.seeds,
        {metric: each[metric]["these_classes"] for metric in METRICS},
        Interval(found.mean, found.low, found.high),
    )


def _readings(group: Group) -> list[Reading]:
    return list(zip(group.outcomes, group.gammas, strict=True))
