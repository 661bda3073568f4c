"""What the number of synthetic features does to U, S and H, with a gamma and without one.

    python benchmarks/syn_num.py

A generator's classifier learns from `syn_num` synthetic features of every unseen class and all the
real ones of seen classes, so the number weighs unseen classes against seen ones, as gamma does.
Each generator is trained once in each tuning world, and each number gets a classifier of its own.
Gamma is chosen in the other tuning worlds of the same cut; no test label is read. Interrupted? Run
the same command again: finished cuts are kept beside the page.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from zslbench.cli import options as opt
from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.data.types import Dataset
from zslbench.method import MethodConfig
from zslbench.method.generative import GenerativeMethod
from zslbench.method.registry import load_method
from zslbench.metrics import Outcome
from zslbench.protocol.choice import choose_gamma
from zslbench.protocol.run import score
from zslbench.protocol.worlds import World, fresh_worlds, tuning_worlds
from zslbench.report.figures import draw
from zslbench.report.files import write_figure, write_text
from zslbench.report.plots import Line, Plot, Scale, percent_axis
from zslbench.report.table import Document, Table
from zslbench.report.writers import markdown
from zslbench.stats import over_seeds
from zslbench.studies.progress import Display, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = ("f_clswgan", "tf_vaegan", "free")
NUMBERS = (10, 20, 50, 100, 300)
WORLDS = 3  # of a cut
PAGE = opt.RESULTS / "studies" / "syn_num.md"
TITLE = "The number of synthetic features is a hidden gamma"
ABOUT = (
    "Made by `python benchmarks/syn_num.py --cuts {cuts}`: generators at their defaults, each "
    "trained once in each of {worlds} tuning worlds of {dataset}; no test label was read. Only the "
    "classifier after the last step sees another number of synthetic features of each unseen "
    "class, beside {real:.0f} real ones of a seen class on average."
)
NOTES = (
    "gamma = 0: as in the papers. chosen: the gamma that has the best mean H in the other tuning "
    "worlds of the same cut.",
    "Means over the worlds, in percent. [ ]: 95 % t interval over them; they share classes, so it "
    "is too narrow for new ones.",
)
OF = ("method", "version", "data", "cut")
SCORES = ("u", "s", "h")

Tick = Callable[[str, int, int], None]


def worlds_of(dataset: Dataset, cut: int) -> list[World]:
    """Return the tuning worlds of every run, or those of another cut, with other classes."""
    return fresh_worlds(dataset, WORLDS, cut) if cut else tuning_worlds(dataset, WORLDS)


def classified(
    method: type[GenerativeMethod], world: World, tick: Callable[[int, int], None]
) -> dict[int, Outcome]:
    """Train a generator in a world; return what the classifier of each number scored."""
    config, labels = method.Config(), world.open_labels()
    prepared = method.prepare(world.train_set(method, config.class_attributes), config)
    before_last = method.epochs(config) - method.passes(config)
    trained = method(config, 0)
    for epoch in trained.fit(prepared):
        tick(epoch.number, before_last)
        if epoch.number == before_last:
            break
    state = trained.checkpoint()

    def scored(settings: MethodConfig) -> Outcome:
        model = method(settings, 0)
        for _ in model.fit(prepared, deepcopy(state)):  # optimisers go on in what they are given
            pass
        return Outcome.of(score(model, world), labels, world.seen)

    return {n: scored(config.model_copy(update={"syn_num": n})) for n in NUMBERS}


def read(
    name: str, method: type[Any], cut: int, worlds: list[World], tick: Tick
) -> Iterator[dict[str, Any]]:
    """Yield a row for each world of a cut and number, with the gamma of the other worlds."""
    found = []
    for number, world in enumerate(worlds, start=1):
        stage = f"{name}, cut {cut + 1}: world {number} of {len(worlds)}"
        found.append(classified(method, world, lambda *at, stage=stage: tick(stage, *at)))
    for syn_num in NUMBERS:
        for place, world in enumerate(worlds):
            outcome = found[place][syn_num]
            others = [[of[syn_num]] for n, of in enumerate(found) if n != place]
            gamma, *_ = choose_gamma(others)
            row = {"world": world.name, "real": len(world.train) / world.seen,
                   "syn_num": syn_num, "gamma": gamma, "t1": outcome.t1}  # fmt: skip
            for suffix, at in (("_plain", 0.0), ("", gamma)):
                scores = outcome.scores(at)
                row |= {metric + suffix: getattr(scores, metric) for metric in SCORES}
            yield row


def table(name: str, rows: pd.DataFrame) -> Table:
    """Return a method's table, a row for each number."""
    columns = ("syn_num", "T1", *(f"{m}, gamma = 0" for m in "USH"),
               *(f"{m}, chosen" for m in "USH"), "gain in H")  # fmt: skip
    shown = ["t1", *(f"{metric}_plain" for metric in SCORES), *SCORES]

    def line(number: Any, of: pd.DataFrame) -> list[str]:
        gain = over_seeds(list(of.h - of.h_plain))
        means = [f"{value:.1f}" for value in of[shown].mean()]
        return [f"{number:g}", *means, f"{gain.mean:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"]

    return Table(name, columns, [line(number, of) for number, of in rows.groupby("syn_num")])


def figure(rows: pd.DataFrame) -> "Figure":
    """Draw H over the number, a panel for each method: at gamma = 0, and at the gamma chosen."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(rows.method))
    means = rows.groupby(["method", "syn_num"])[["h_plain", "h"]].mean()
    up = percent_axis("H, percent", means.to_numpy().max())
    drawn = Figure(figsize=(3.2 * len(names), 3.2), layout="constrained")
    for axes, name in zip(np.atleast_1d(drawn.subplots(1, len(names))), names, strict=True):
        mean = means.loc[name]
        numbers = mean.index.to_numpy(dtype=float)
        lines = [
            Line(numbers, mean[column].to_numpy(), look, label, dots=True)
            for look, (column, label) in enumerate(
                (("h_plain", "gamma = 0"), ("h", "gamma chosen")), start=1
            )
        ]
        across = Scale("synthetic features of a class", NUMBERS[0], NUMBERS[-1], log=True)
        draw(axes, Plot(name, across, up, lines))
        axes.set_title(name, fontsize=10)
    axes.legend(frameon=False, loc="lower right")
    return drawn


def write(rows: pd.DataFrame, dataset: str, page: Path) -> None:
    """Write the page and its figure."""
    (picture, _) = write_figure(page.parent, page.stem, figure(rows))
    worlds = len(rows.groupby(["cut", "world"]))
    said = {"worlds": worlds, "cuts": worlds // WORLDS, "dataset": dataset}
    about = ABOUT.format(real=rows.real.mean(), **said)
    tables = [table(name, rows[rows.method == name]) for name in dict.fromkeys(rows.method)]
    caption = {picture.name: "Mean H over the tuning worlds."}
    write_text(page, markdown(Document(TITLE, about, tables, notes=NOTES), caption))


def study(request: DataRequest, page: Path, cuts: int, tick: Tick) -> None:
    """Read every generator in every cut that was not, and write what was found."""
    kept, source, parts = page.with_suffix(".csv"), DataSource(request), list[pd.DataFrame]()
    rows = pd.read_csv(kept) if kept.exists() else pd.DataFrame(columns=list(OF))
    for cut, name in product(range(cuts), METHODS):
        method = load_method(name)
        dataset = source.for_method(name, method, method.Config())
        about = dict(zip(OF, (name, method.version, dataset.digest[:12], cut), strict=True))
        mine = rows[(rows[list(OF)] == pd.Series(about)).all(axis=1)]
        if mine.empty:
            found = read(name, method, cut, worlds_of(dataset, cut), tick)
            mine = pd.DataFrame([about | row for row in found])
            rows = pd.concat([rows, mine], ignore_index=True)
            write_text(kept, rows.to_csv(index=False))
        parts.append(mine)
    rows = pd.concat(parts, ignore_index=True)  # without those of other versions
    write_text(kept, rows.to_csv(index=False))
    write(rows, request.name, page)


def main(
    page: Annotated[Path, typer.Option(help="What to write.")] = PAGE,
    cuts: Annotated[int, typer.Option(min=1, help="Three tuning worlds each.")] = 2,
) -> None:
    """Train the generators in tuning worlds, and write what the number of their features does."""
    with Display() as display:
        study(DataRequest("plumage", Path("data")), page, cuts, display.tick)
    say(f"written: {page}")


if __name__ == "__main__":
    opt.run_script(main)
