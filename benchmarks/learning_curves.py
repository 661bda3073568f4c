"""How each trained method learns, by epoch: on training, seen and unseen validation images.

    python benchmarks/learning_curves.py
    python benchmarks/learning_curves.py --methods svip,vit_attr_head --set epochs=36
    python benchmarks/learning_curves.py --dataset cub87 --backbone vit_small_patch14_dinov2 \
        --image-size 98 --frozen-blocks 8 --weights FILE --set augment=false --page cub87.md

Each method is fitted once in the first tuning world, and scored after every epoch; no test label is
read. Interrupted? Run the same command again: finished fits are kept beside the page,
those that it does not show too.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import typer

from zslbench.cli import options as opt
from zslbench.data.provide import DataSource, UnservedError
from zslbench.data.types import Subset
from zslbench.method import Method, MethodConfig
from zslbench.method.registry import load_method
from zslbench.metrics import Outcome, per_class_accuracy
from zslbench.protocol.run import score
from zslbench.protocol.worlds import World, tuning_worlds
from zslbench.report.figures import draw
from zslbench.report.files import write_figure, write_text
from zslbench.report.plots import Line, Plot, Scale, percent_axis
from zslbench.report.table import Document, Table
from zslbench.report.writers import markdown
from zslbench.studies.progress import Display, say
from zslbench.studies.regression.exact import trained_methods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = opt.RESULTS / "studies" / "learning_curves.md"
OF = ("method", "version", "data", "backbone", "settings")
PARTS = ("train", "seen", "unseen")
WIDE = 4  # panels side by side
NOTES = (
    "train: images that were learnt from; seen: held-out images of the same classes; both among "
    "these classes. unseen: images of validation classes, among them (T1).",
    "chosen: the epoch with the highest AUSUC in this one tuning world. Tables of results choose "
    "over all tuning worlds.",
)

Tick = Callable[[str, int, int], None]


def read(cls: type[Method], config: MethodConfig, world: World) -> Iterator[dict[str, float]]:
    """Fit a method in a tuning world; yield what each epoch knows, in percent, and its AUSUC."""
    labels, seen = world.open_labels(), world.seen
    attributes = world.attributes(config.class_attributes)
    images = Subset(world.dataset.inputs, world.train)
    model = cls(config, 0)
    for epoch in model.fit(cls.prepare(world.train_set(cls, config.class_attributes), config)):
        outcome = Outcome.of(score(model, world), labels, seen)
        scores = model.scores(images[np.arange(len(images))], attributes)[:, :seen]
        yield {
            "epoch": epoch.number,
            "train": per_class_accuracy(scores.argmax(axis=1), world.train_labels),
            "seen": outcome.scores(-np.inf).s,  # with no unseen class to be mistaken for
            "unseen": outcome.t1,
            "ausuc": outcome.curve.area,
        }


def table(rows: pd.DataFrame) -> Table:
    """Return a row for each method: what it knows at the chosen epoch, and at the end."""
    columns = ("method", "chosen epoch", *PARTS, *(f"{part}, last" for part in PARTS))

    def line(name: Any, of: pd.DataFrame) -> list[str]:
        chosen, last = of.loc[of.ausuc.idxmax()], of.iloc[-1]
        told = [f"{at[part]:.1f}" for at in (chosen, last) for part in PARTS]
        return [name, f"{chosen.epoch:.0f} of {last.epoch:.0f}", *told]

    return Table("Accuracy", columns, [line(*group) for group in rows.groupby("method")])


def figure(rows: pd.DataFrame) -> "Figure":
    """Draw the three accuracies by epoch, a panel for each method, and the chosen epoch."""
    from matplotlib.figure import Figure

    groups = list(rows.groupby("method"))
    wide = min(WIDE, len(groups))
    high = -(-len(groups) // wide)
    drawn = Figure(figsize=(2.6 * wide, 2.4 * high + 0.3), layout="constrained")
    panels = np.ravel(drawn.subplots(high, wide, sharey=True, squeeze=False))
    for axes, (name, of) in zip(panels, groups, strict=False):
        lines = [
            Line(of.epoch.to_numpy(float), of[part].to_numpy(), look, part)
            for look, part in enumerate(PARTS)
        ]
        across = Scale("epoch", 1, max(2, of.epoch.max()))
        chosen = float(of.epoch[of.ausuc.idxmax()])
        up = percent_axis("accuracy, percent", 100)
        draw(axes, Plot(str(name), across, up, lines, rule=chosen))
        axes.set_title(str(name), fontsize=9)
        axes.label_outer()
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return drawn


def study(
    source: DataSource, methods: dict[str, MethodConfig], page: Path, about: str, tick: Tick
) -> None:
    """Fit every method that was not, and write what was found."""
    kept, parts = page.with_suffix(".csv"), list[pd.DataFrame]()
    rows = pd.DataFrame(columns=list(OF))
    if kept.exists():
        rows = pd.read_csv(kept, dtype={"data": str})
    for name, config in methods.items():
        cls = load_method(name)
        dataset = source.for_method(name, cls, config)
        (world,) = tuning_worlds(dataset, 1)
        told = config.model_dump_json(), dataset.backbone.title
        key = dict(zip(OF, (name, cls.version, dataset.digest[:12], *told[::-1]), strict=True))
        mine = rows[(rows[list(OF)] == pd.Series(key)).all(axis=1)]
        if mine.empty:
            found = []
            for row in read(cls, config, world):
                found.append(key | row)
                tick(name, len(found), cls.epochs(config))
            mine = pd.DataFrame(found)
            rows = pd.concat([rows, mine], ignore_index=True)
            write_text(kept, rows.to_csv(index=False))
        parts.append(mine)
    shown = pd.concat(parts, ignore_index=True)
    (picture, _) = write_figure(page.parent, page.stem, figure(shown))
    caption = {picture.name: "Accuracy by epoch; the vertical line is the chosen epoch."}
    document = Document("Learning curves", about, [table(shown)], notes=NOTES)
    write_text(page, markdown(document, caption))


@opt.spread
def main(
    data: opt.DataOptions,
    dataset: opt.Dataset = "plumage",
    methods: Annotated[str | None, typer.Option(help="Comma-separated (default: all).")] = None,
    set_: opt.Settings = [],  # noqa: B006 - typer reads it, nobody writes to it
    page: Annotated[Path, typer.Option(help="What to write.")] = PAGE,
) -> None:
    """Fit trained methods in a tuning world, and write how they learn."""
    given, asked = opt.parse_settings(set_), {}
    with Display() as display:
        source = DataSource(data.request(dataset))
        for name in opt.parse_list(methods) if methods else trained_methods():
            cls = load_method(name)
            config = cls.Config.parse(given, name)
            try:
                source.for_method(name, cls, config)
            except UnservedError as refusal:
                if methods:
                    raise
                say(f"skipped {name}: {refusal}")
            else:
                asked[name] = config
        command = shlex.join(["python", "benchmarks/learning_curves.py", *sys.argv[1:]])
        about = f"Made by `{command}`: one fit each in the first tuning world of {dataset}."
        study(source, asked, page, about, display.tick)
    say(f"written: {page}")


if __name__ == "__main__":
    opt.run_script(main)
