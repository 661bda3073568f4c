"""Search the defaults of every trained method: as many trials and epochs for each, no test label.

    python benchmarks/defaults.py
    python benchmarks/defaults.py --dataset cub20 --backbone vit_small_patch14_dinov2 \
        --image-size 98 --weights FILE

Round 1 tries points at a short schedule: the defaults, then points that fill the space evenly; the
median pruner stops those that fall behind. Round 2 fits the best of them at longer schedules.
Trials are judged by H in the tuning worlds of data on which no table is read: by default birds of
another seed. Interrupted? Run the same command again: finished trials are kept in --results, and in
an archive beside the page, from which the search resumes on any machine.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zslbench.cli import options as opt
from zslbench.data.load import DataRequest
from zslbench.data.provide import UnservedError
from zslbench.engines import Engine
from zslbench.method.registry import load_method
from zslbench.protocol.limits import limits_of
from zslbench.records import Trial
from zslbench.report.figures import COLOURS, DASHES, MARKERS
from zslbench.report.files import write_figure
from zslbench.report.shown import Shown
from zslbench.report.table import Cell, Document, Table
from zslbench.store import Store
from zslbench.studies.archive import SUFFIX, members_of, pack, restore
from zslbench.studies.leaderboard.plan.tune import tuning_space
from zslbench.studies.plan import Entry, plan
from zslbench.studies.progress import say
from zslbench.studies.regression.exact import own_methods, trained_methods
from zslbench.studies.session import session
from zslbench.studies.sweep.plan import PrunerName, SamplerName, SweepPlan
from zslbench.studies.sweep.report import search
from zslbench.studies.sweep.space import Parameter, places

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FROZEN = Parameter("frozen_epochs", choices=(0, 3))
SEARCHED = ("lr", "backbone_lr", "frozen_epochs", "weight_decay")  # the first three that it has
LONGER = [24, 36]
PAGE = opt.RESULTS / "studies" / "defaults" / "defaults.md"
ABOUT = (
    "Every method has {trials} trials of {short} epochs, the first of them its defaults, and the "
    "best {kept} at {longer} epochs: that is the cap on compute, {worlds} tuning worlds each. "
    "H is the mean over the tuning worlds; no test label was read."
)
NOTES = (
    "H found is the best of several trials, in part the luckiest: it is no result, and says "
    "nothing on which method is better.",
    "minutes: wall time of all trials, on a machine that may have done other work.",
)


@dataclass(frozen=True)
class Budget:
    """What every method gets: trials of a short schedule, the best of which get longer ones."""

    short: int
    longer: tuple[int, ...]
    worlds: int
    trials: int = 8
    kept: int = 2


@dataclass(frozen=True)
class Searched:
    """All trials of a method in order, and the space that was searched."""

    method: str
    space: tuple[Parameter, ...]
    trials: list[Trial]

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest H, of equals the earlier; None without any."""
        return next(iter(ranked(self.trials)), None)

    def so_far(self) -> list[float | None]:
        """Return the best H of the complete trials up to each one."""
        found = [ranked(self.trials[:end]) for end in range(1, len(self.trials) + 1)]
        return [best[0].value if best else None for best in found]


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return the complete trials, the best first."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: -(trial.value or 0.0))


def h_of(trial: Trial) -> float | None:
    """Return the H of a complete trial; what a pruned one had was of fewer worlds."""
    return trial.value if trial.state == "complete" else None


def space_of(method: str) -> tuple[Parameter, ...]:
    """Return what round 1 searches: rates within a factor of ten of the defaults, frozen epochs."""
    found = {parameter.name: parameter for parameter in tuning_space(load_method(method))}
    if "backbone_lr" in found:
        found["frozen_epochs"] = FROZEN
    return tuple([found[name] for name in SEARCHED if name in found][:3])


def searched(
    method: str, data: DataRequest, budget: Budget, store: Store, engine: Engine
) -> Searched:
    """Search a method in both rounds, or read what is done of them."""
    cls, space = load_method(method), space_of(method)

    def run(
        settings: dict[str, Any], axes: tuple[Parameter, ...], sampler: SamplerName,
        pruner: PrunerName = "none", trials: int | None = None,
    ) -> list[Trial]:  # fmt: skip
        entry = Entry(method, cls.Config.parse(settings, method))
        (base,) = plan([entry], [data], settings={}, seeds=[0], worlds=budget.worlds)
        sweep = SweepPlan(base, axes, sampler, pruner)
        done = search(sweep, store, engine, trials=trials, top=0, test=False)
        return [store.read(Trial, sweep.trial_key(t.number, t.params)) for t in done.trials]

    trials = run({"epochs": budget.short}, space, "sobol", "median", budget.trials)
    lengths = (Parameter("epochs", choices=budget.longer),)
    for kept in ranked(trials)[: budget.kept]:
        trials += run(kept.params, lengths, "grid")
    return Searched(method, space, trials)


@dataclass(frozen=True, repr=False)
class Defaults(Shown):
    """What the search found, and all that it tried."""

    command: str
    dataset: str
    budget: Budget
    methods: list[Searched]

    def document(self) -> Document:
        """Return what was found of each method, then every trial."""
        said = {**vars(self.budget), "longer": " and ".join(map(str, self.budget.longer))}
        columns = ("method", "settings", "H defaults", "H found", "trials", "pruned", "failed",
                   "minutes")  # fmt: skip
        overview = Table("Found", columns, [_found(each) for each in self.methods],
                         words=("settings",))  # fmt: skip
        return Document(
            f"Search of defaults on {self.dataset}",
            f"Made by `{self.command}`. {ABOUT.format(**said)}",
            [overview, _candidates()],
            asides=[_tried(each) for each in self.methods],
            notes=NOTES,
        )

    def records(self) -> list[dict[str, Any]]:
        """Return a row for each trial."""
        return [
            {"method": each.method, "trial": number, "state": trial.state,
             **{name: trial.spec.config[name] for name in ("epochs", *_names(each))},
             "chosen_epoch": trial.choice and trial.choice.epoch, "epochs_run": trial.steps,
             "H": h_of(trial), "seconds": round(trial.seconds, 1), "error": trial.error}
            for each in self.methods
            for number, trial in enumerate(each.trials)
        ]  # fmt: skip


def _names(found: Searched) -> list[str]:
    return [parameter.name for parameter in found.space]


def _settings(found: Searched, trial: Trial) -> list[str]:
    values = (trial.spec.config[name] for name in ("epochs", *_names(found)))
    return [f"{value:.3g}" if isinstance(value, float) else str(value) for value in values]


def _h(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _found(found: Searched) -> list[Cell | str]:
    best, states = found.best, [trial.state for trial in found.trials]
    marks, settings = (), "-"
    if best is not None:
        where = places(found.space, best.spec.config)
        marks = limits_of(best, load_method(found.method).Config, where)
        named = zip(("epochs", *_names(found)), _settings(found, best), strict=True)
        settings = ", ".join(f"{name} {value}" for name, value in named)
    minutes = sum(trial.seconds for trial in found.trials) / 60
    counts = (str(len(states)), *(str(states.count(s)) for s in ("pruned", "failed")))
    return [Cell(found.method, marks=marks), settings, _h(h_of(found.trials[0])),
            _h(found.so_far()[-1]), *counts, f"{minutes:.1f}"]  # fmt: skip


def _tried(found: Searched) -> Table:
    searched = "; ".join(f"{parameter.name} {parameter.said()}" for parameter in found.space)
    columns = ("trial", "state", "epochs", *_names(found), "chosen epoch", "epochs run", "H",
               "best so far", "minutes")  # fmt: skip
    rows = [
        [str(number), trial.state, *_settings(found, trial),
         str(trial.choice.epoch) if trial.choice else "-", str(trial.steps), _h(h_of(trial)),
         _h(best), f"{trial.seconds / 60:.1f}"]
        for number, (trial, best) in enumerate(zip(found.trials, found.so_far(), strict=True))
    ]  # fmt: skip
    errors = {trial.error: None for trial in found.trials if trial.error}
    return Table(f"Trials of {found.method}", columns, rows, words=("state",),
                 note="; ".join((f"Searched: {searched}", *errors)) + ".")  # fmt: skip


def _candidates() -> Table:
    """Return how many configs the tuning worlds choose among in every run: trials by a grid."""
    counts = {name: len(load_method(name).Config().candidates()) for name in own_methods()}
    rows = [[name, str(count)] for name, count in counts.items() if count > 1]
    return Table("Trials within each run", ("method", "candidates"), rows,
                 note="A grid that the tuning worlds decide in every run.")  # fmt: skip


def draw(found: Defaults) -> "Figure":
    """Draw the best H so far against the number of trials, a line for each method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for place, each in enumerate(found.methods):
        colour, dash, marker = (known[place % len(known)] for known in (COLOURS, DASHES, MARKERS))
        best = [nan if h is None else h for h in each.so_far()]
        axes.plot(range(1, len(best) + 1), best, drawstyle="steps-post", color=colour,
                  linestyle=dash, marker=marker, markersize=4, label=each.method)  # fmt: skip
    axes.axvline(found.budget.trials + 0.5, color="#777777", linewidth=0.8)
    axes.set(xlabel="trials (right of the line: longer schedules)",
             ylabel="best H in the tuning worlds, percent")  # fmt: skip
    axes.legend(frameon=False, fontsize=8)
    return figure


def write(found: Defaults, page: Path) -> None:
    """Write the page, and its numbers and figure beside it."""
    (picture, _) = write_figure(page.parent, page.stem, draw(found))
    found.save(page.with_suffix(".csv"))
    found.save(page, {picture.name: "The best H so far of complete trials."})


@contextmanager
def kept(archive: Path, store: Store, dataset: str) -> Iterator[None]:
    """Bring the trials of an archive, and pack all on that dataset at the end, however it comes."""
    if archive.exists():
        restore(archive, store)
    try:
        yield
    finally:
        entries = [*store.index.entries("sweep"), *store.index.entries("trial")]
        names = [entry.name for entry in entries if entry.dataset == dataset]
        pack(archive, members_of(store, names))


@opt.spread
def main(
    data: opt.DataOptions,
    engine: opt.EngineOptions,
    dataset: opt.Dataset = "plumage:seed=1",
    methods: Annotated[str | None, typer.Option(help="Comma-separated (default: all).")] = None,
    results: opt.Results = opt.RESULTS,
    epochs: Annotated[int, typer.Option(min=1, help="Schedule of round 1.")] = 12,
    longer: Annotated[list[int], typer.Option(min=1, help="Of round 2; repeatable.")] = LONGER,
    worlds: opt.Worlds = 3,
    page: Annotated[Path, typer.Option(help="What to write.")] = PAGE,
) -> None:
    """Search every trained method's defaults in tuning worlds, and write what was found."""
    budget = Budget(epochs, tuple(sorted(set(longer))), worlds)
    request, found = data.request(dataset), []
    archive = page.with_suffix(SUFFIX)
    with session(results, **vars(engine)) as at, kept(archive, at.store, request.name):
        for method in opt.parse_list(methods) if methods else trained_methods():
            try:
                found.append(searched(method, request, budget, at.store, at.engine))
            except UnservedError as refusal:
                if methods:
                    raise
                say(f"skipped {method}: {refusal}")
    command = shlex.join(["python", "benchmarks/defaults.py", *sys.argv[1:]])
    write(Defaults(command, request.name, budget, found), page)
    say(f"written: {page}")


if __name__ == "__main__":
    opt.run_script(main)
