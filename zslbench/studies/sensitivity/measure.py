"""What a sensitivity study measures at each point: in tuning worlds, or on test classes."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from zslbench.engines import Call, Engine, dealt_twice
from zslbench.engines.execute import Job, choice_key, execute, make_choice, outcome_of
from zslbench.records import Choice, Failure
from zslbench.stats import METRICS, Interval, Metric, Reading, intervals, over_seeds, paired
from zslbench.store import Store, Stored
from zslbench.studies.groups import SeedGroup
from zslbench.studies.sensitivity.results import Point
from zslbench.studies.sweep.trials import objective

DEFAULTS = "defaults"

WorldMetrics = list[dict[Metric, float]]


def in_tuning_worlds(
    jobs: Mapping[str, Job], seeds: Sequence[int], store: Store, engine: Engine
) -> tuple[dict[str, Point], list[Failure]]:
    """Make every choice that is missing; a point's readings are those of each seed's worlds."""
    store.check()
    keys = {(name, s): choice_key(job.spec, s) for s in seeds for name, job in jobs.items()}
    lacking = store.missing("choice", list(keys.values()))
    ready = deque(
        Call(make_choice, (jobs[name], store, seed), f"{name}, seed {seed}: ")
        for (name, seed), key in keys.items()
        if key in lacking
    )
    failures: list[Failure] = []
    missing, best, said = len(ready), 0.0, ""
    for ended, end in enumerate(dealt_twice(engine, ready), start=1):
        failure, (job, _, seed) = outcome_of(end), end.call.arguments
        if failure is not None:
            failures.append(failure)
            store.commit(failure)
        else:
            choice = store.get("choice", choice_key(job.spec, seed))
            h = objective(choice) if isinstance(choice, Choice) else 0.0
            if h > best:
                best, said = h, f"; best H {h:.1f} ({end.call.label.removesuffix(': ')})"
        engine.tell(f"{job.spec.method}: points{said}", ended, missing)
    found: dict[str, dict[int, WorldMetrics]] = {name: {} for name in jobs}
    for (name, seed), key in keys.items():
        choice = store.get("choice", key)
        if isinstance(choice, Choice):
            found[name][seed] = _by_world(choice)
    base = found[DEFAULTS]
    points = {name: _tuned(mine, base) for name, mine in found.items() if mine.keys() & base}
    return points, failures


def _by_world(choice: Choice) -> WorldMetrics:
    return [{m: getattr(world.scores, m) for m in METRICS} for world in choice.worlds]


def _tuned(mine: Mapping[int, WorldMetrics], base: Mapping[int, WorldMetrics]) -> Point:
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


# -- in the final world --------------------------------------------------------------------------


def on_test(
    jobs: Mapping[str, Job], seeds: Sequence[int], store: Store, engine: Engine
) -> tuple[dict[str, Point], list[Failure]]:
    """Run what is missing as runs like any others: chosen in tuning worlds, opened once each."""
    runs = {
        name: [replace(job, spec=job.spec.model_copy(update={"seed": seed})) for seed in seeds]
        for name, job in jobs.items()
    }
    names = {run.spec.key: name for name, group in runs.items() for run in group}
    report = execute([run for group in runs.values() for run in group], store, engine=engine)
    found: dict[str, list[Stored]] = {}
    for run in store.runs(names):
        found.setdefault(names[run.record.key], []).append(run)
    groups = {
        name: SeedGroup("validation", tuple(sorted(mine, key=lambda run: run.record.spec.seed)))
        for name, mine in found.items()
    }
    base = groups.get(DEFAULTS)
    points = {
        name: _tested(mine, base)
        for name, mine in groups.items()
        if base and set(mine.seeds) & set(base.seeds)
    }
    return points, report.failures


def _tested(mine: SeedGroup, base: SeedGroup) -> Point:
    """Return the means of a value's seeds, and the difference over those that the base has too."""
    ours, theirs = _readings(mine), _readings(base)
    both = sorted(ours.keys() & theirs)
    found = paired([ours[s] for s in both], [theirs[s] for s in both], "h", "these_classes")
    each = intervals(mine.outcomes, mine.gammas)
    return Point(
        None,
        mine.seeds,
        {metric: each[metric]["these_classes"] for metric in METRICS},
        Interval(found.mean, found.low, found.high),
    )


def _readings(group: SeedGroup) -> dict[int, Reading]:
    return dict(zip(group.seeds, zip(group.outcomes, group.gammas, strict=True), strict=True))
