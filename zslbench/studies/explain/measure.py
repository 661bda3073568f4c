"""Pictures of one finished run: where it looks, and how the attributes that it predicts lie.

No test label is opened: the classes that titles and colours tell are those that the run itself
opened, once, and keeps beside its record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from zslbench.data.load import DataRequest
from zslbench.engines.execute import Job
from zslbench.errors import ZslbenchError
from zslbench.method import Method
from zslbench.metrics import Float, Int, summarise
from zslbench.protocol import World, final_world
from zslbench.protocol.looking import predicted_attributes
from zslbench.protocol.run import Tick, no_tick
from zslbench.records import RunRecord
from zslbench.report.files import write_figure
from zslbench.seeding import generator
from zslbench.store import Stored, artifacts
from zslbench.studies.explain.embedding import embedding_figure
from zslbench.studies.explain.items import Told, pictures_of
from zslbench.studies.explain.located import Located, locate, parts_figure
from zslbench.studies.explain.pictures import attribute_figure, patch_figure
from zslbench.studies.explain.refit import refit
from zslbench.studies.groups import title_of

CLASSES, PER_CLASS = 20, 30
PERPLEXITY = 30


@dataclass(frozen=True)
class Explanation:
    """What was drawn.

    Attributes:
        files: The figures.
        items: The test items pictured, in the dataset's numbering.
        agreement: On how many of the images drawn the refit answers as the run did, in percent.
        located: How well it looks at the birds of unseen classes, where their parts and boxes are
            known.
    """

    files: list[Path]
    items: list[int]
    agreement: float
    located: Located | None = None


def explain(
    run: Stored,
    job: Job,
    wanted: int | Sequence[int],
    folder: Path,
    request: DataRequest,
    tick: Tick = no_tick,
) -> Explanation:
    """Draw where a run looks in some test images, and the attributes that it predicts.

    Args:
        run: The run.
        job: The same, with its data.
        wanted: The test items to picture, or how many.
        folder: Gets the figures, and what was learnt.
        request: What the data were found by.
        tick: Progress.

    Raises:
        ZslbenchError: On an item that is not on test.
    """
    record, world, told = run.record, final_world(job.dataset), Told.by(run)
    pictured, spread = _places(world, wanted), _of_some_classes(told)
    stage = f"{record.spec.method}: fitting to epoch {record.choice.epoch}"
    model = refit(job, record.choice, folder, partial(tick, stage))
    steps = partial(tick, f"{record.spec.method}: looking at test images")
    drawn = np.union1d(pictured, spread)
    answers = _answers(model, world, drawn, record.rules["validation"].gamma_raw)
    agreement = 100 * float(np.mean(answers == told.answers[drawn]))
    steps(1, 3)
    view = model.view(job.dataset.inputs[world.test[pictured]])
    if view is None:
        raise ZslbenchError(
            f"{title_of(record.spec.method, record.spec.settings, record.spec.tuned)} has no view: "
            "with these settings it cannot say where in an image it looks."
        )
    pictures = pictures_of(world, pictured, view, told, request)
    steps(2, 3)
    plane = _plane(model, world, spread)
    steps(3, 3)
    located = locate(model, job.dataset, tick)
    title = _title(record, agreement)
    figures = {"patches": patch_figure(pictures, title)}
    if view.attributes is not None:
        figures["attributes"] = attribute_figure(pictures, title)
    figures["tsne"] = embedding_figure(plane, told.labels[spread], told.seen, told.names, title)
    if located is not None and located.parts:
        figures["parts"] = parts_figure(located, title)
    files = [path for n, figure in figures.items() for path in write_figure(folder, n, figure)]
    if located is not None:
        files.append(folder / "located.md")
        located.save(files[-1])
    return Explanation(files, world.test[pictured].tolist(), agreement, located)


def _title(record: RunRecord, agreement: float) -> str:
    spec = record.spec
    return (
        f"{title_of(spec.method, spec.settings, spec.tuned)} on {spec.dataset}, seed {spec.seed}, "
        f"epoch {record.choice.epoch}, run {record.key[:12]}. Fitted again, it answers as "
        f"the run did on {agreement:.1f} % of the images."
    )


def _places(world: World, wanted: int | Sequence[int]) -> Int:
    """Return where the wanted items stand among the test items, or draw some of either side."""
    if isinstance(wanted, int):
        rng, seen = generator(0, "pictured"), len(world.dataset.splits.test_seen)
        unseen = seen + rng.permutation(len(world.test) - seen)[: (wanted + 1) // 2]
        return np.concatenate([rng.permutation(seen)[: wanted // 2], unseen])
    where = {item: place for place, item in enumerate(world.test.tolist())}
    for item in wanted:
        if item not in where:
            known = ", ".join(map(str, world.test[:3]))
            raise ZslbenchError(
                f"--items: {item} is no test item of {world.dataset.name}. Items are numbered as "
                f"in the run's {artifacts.PREDICTIONS}: {known}, ..."
            )
    return np.array([where[item] for item in wanted])


def _of_some_classes(told: Told) -> Int:
    """Return places of test items: some of each of some classes of either side."""
    rng, classes = generator(0, "classes in the plane"), np.unique(told.labels)
    sides = classes[classes < told.seen], classes[classes >= told.seen]
    chosen = [c for side in sides for c in rng.permutation(side)[:CLASSES]]
    members = [rng.permutation(np.flatnonzero(told.labels == c))[:PER_CLASS] for c in chosen]
    return np.sort(np.concatenate(members))


def _answers(model: Method, world: World, places: Int, gamma: float) -> Int:
    table = world.attributes(model.config.class_attributes)
    scores = model.scores(world.dataset.inputs[world.test[places]], table)
    return summarise(scores, world.seen, 1.0).predictions(gamma)


def _plane(model: Method, world: World, places: Int) -> Float:
    """Return `[m, 2]`: predicted attributes by t-SNE."""
    from sklearn.manifold import TSNE

    images, attributes = world.dataset.inputs[world.test[places]], world.attributes().shape[1]
    predicted = predicted_attributes(model, images, attributes)
    perplexity = min(PERPLEXITY, (len(places) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=0)
    return np.asarray(tsne.fit_transform(np.asarray(predicted, dtype=np.float32)), dtype=float)
