"""What can be checked of a run without a label: its key, its ledger's entry, its choice, its files.

Each check yields what contradicts, in words.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby

import numpy as np

from zslbench.metrics import ScoreSummary, harmonic_mean
from zslbench.protocol import epochs_needed
from zslbench.records import (
    PROTOCOL_VERSION,
    Choice,
    IncrementalRecord,
    Opening,
    RunRecord,
    RunSpec,
    Scores,
    disagreement,
)
from zslbench.store import Stored, StoredIncremental, artifacts

ROUNDING = 1e-5  # of float32, in which scores are kept
MOST = 1e15  # of seconds, MiB, images a second


def faults_of(run: Stored | StoredIncremental, openings: Mapping[str, Opening]) -> Iterator[str]:
    """Yield what contradicts in a run, whatever the labels are.

    Raises:
        DataError: If its files cannot be read.
    """
    record = run.record
    yield from _key(record, run.folder.name)
    yield from _opening(record, openings)
    if isinstance(run, Stored):
        yield from choice_faults(run.record.spec, run.record.choice)
        yield from _costs(run.record)
        yield from _summaries(run)
    else:
        yield from _answers(run)


def _key(record: RunRecord | IncrementalRecord, folder: str) -> Iterator[str]:
    spec = record.spec
    try:
        keys = {"key": spec.key}
        if isinstance(record, RunRecord):
            keys["choice's key"] = record.spec.choice_key
    except ValueError:
        yield "its spec holds a value that no key can be made of"
        return
    stated = {"key": record.key, "choice's key": getattr(record, "choice", record).key}
    for name, key in keys.items():
        if stated[name] != key:
            yield f"{name}: {stated[name][:12]} stated, {key[:12]} from its spec"
    if folder != f"{record.kind}-{record.key}":
        yield f"it lies under the key {folder.partition('-')[2][:12]}"
    if spec.protocol_version != PROTOCOL_VERSION:
        yield f"protocol version {spec.protocol_version}, and {PROTOCOL_VERSION} is read here"
    if not _is_time(record.created):
        yield f"created {record.created[:40]!r}, which is no time"
    if "commit" not in record.environment:
        yield "its environment names no commit"
    for text in (spec.method, spec.dataset, spec.backbone.name, *record.environment.values()):
        if not text.isprintable():
            yield f"a name holds characters that cannot be printed: {text!r}"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _opening(
    record: RunRecord | IncrementalRecord, openings: Mapping[str, Opening]
) -> Iterator[str]:
    entry = openings.get(record.opening)
    if entry is None:
        yield "the ledger has no entry of its reading the test labels"
        return
    spec = record.spec
    about = {
        "run": (entry.run_key, record.key),
        "method": (entry.method, spec.method),
        "dataset": (entry.dataset, spec.dataset),
        "test digest": (entry.test_digest, record.test_digest),
    }
    for name, (told, own) in about.items():
        if told != own:
            yield f"the ledger's entry names another {name}: {told[:40]}"


def choice_faults(spec: RunSpec, choice: Choice) -> Iterator[str]:
    """Yield what of a choice does not follow from the curves of its worlds, as far as it has them.

    It has the mean curves over the worlds, and every world's scores at the chosen epoch.
    """
    for name, value in spec.config.items():
        if value is not None and choice.config.get(name) != value:
            yield f"choice: {name} = {choice.config.get(name)!r} stated, {value!r} asked for"
    for name, value in spec.settings.items():
        if spec.tuning_worlds and spec.config.get(name) != value:  # a submission's is cut short
            yield f"its settings say {name} = {value!r}, its config {spec.config.get(name)!r}"
    about = ("method", "dataset")
    if any(getattr(choice, name) != getattr(spec, name) for name in about):
        yield "choice: it is of another method or dataset"
    if len(choice.worlds) != spec.tuning_worlds:
        yield f"choice: made in {len(choice.worlds)} worlds, {spec.tuning_worlds} asked for"
    elif choice.worlds:
        yield from _of_curves(choice)
        yield from _of_worlds(choice)
    elif choice.candidates or (choice.epoch, choice.t1_epoch) != (1, 1):
        yield "choice: something was chosen in no world"


def _of_curves(choice: Choice) -> Iterator[str]:
    """Check config and epochs against the mean curves."""
    rows = choice.candidates
    if not rows or set(_schedules(choice)) != {choice.epochs}:
        yield "choice: its curves are not whole"
        return
    best = rows[int(np.argmax([row.ausuc for row in rows]))]
    if (best.config, best.epoch) != (choice.config, choice.epoch):
        yield f"choice: epoch {choice.epoch} stated, {best.epoch} of the best curve"
        return
    own = [row for row in rows if row.config == choice.config]
    t1_epoch = own[int(np.argmax([row.t1 for row in own]))].epoch
    if t1_epoch != choice.t1_epoch:
        yield f"choice: epoch {choice.t1_epoch} for T1 stated, {t1_epoch} of its curve"
    at_best = {"ausuc": best.ausuc, "t1": best.t1, "h": best.h}
    means = {name: _mean(choice, name) for name in at_best}
    if found := disagreement(at_best, means):
        yield f"choice: {found.name} {found.one} on its curve, {found.other} the mean of its worlds"


def _schedules(choice: Choice) -> Iterator[int]:
    """Yield the number of epochs of each candidate config; 0 where they are not in order."""
    for _, rows in groupby(choice.candidates, key=lambda row: row.config):
        epochs = [row.epoch for row in rows]
        yield len(epochs) if epochs == list(range(1, len(epochs) + 1)) else 0


def _mean(choice: Choice, name: str) -> float:
    return float(np.mean([getattr(world.plain, name) for world in choice.worlds]))


def _of_worlds(choice: Choice) -> Iterator[str]:
    """Check gamma, and what it gains, against what the worlds had of it."""
    for world in choice.worlds:
        if not (_possible(world.scores) and _possible(world.plain)):
            yield f"choice: {world.name} has scores that there cannot be"
        if choice.gamma == 0 and disagreement(world.scores, world.plain):
            yield f"choice: gamma is 0, and changes the scores in {world.name}"
    if choice.epoch == choice.epochs and disagreement(choice.gamma, choice.last_gamma):
        yield f"choice: gamma {choice.gamma:.6g} stated, {choice.last_gamma:.6g} of the same epoch"
    names = {world.name for world in choice.worlds}
    if choice.alternatives and {other.without for other in choice.alternatives} != names:
        yield "choice: its alternatives leave out other worlds than it has"
    gains = np.array([world.scores.h - world.plain.h for world in choice.worlds])
    stated = choice.gain, choice.gain_error or 0.0
    if (choice.gain_error is None) != (len(gains) == 1) and choice.gain:
        yield "choice: the standard error of its gain does not fit the number of worlds"
    if choice.gamma == 0:
        if stated[0] > stated[1]:
            yield f"choice: gamma 0 stated, though one gained {stated[0]:.12g} points"
        return
    error = float(gains.std(ddof=1) / len(gains) ** 0.5) if len(gains) > 1 else 0.0
    if not np.allclose(stated, (gains.mean(), error), rtol=0, atol=1e-6):
        yield f"choice: gain {stated[0]:.12g} stated, {gains.mean():.12g} of its worlds"
    elif not stated[0] > stated[1]:
        yield f"choice: gamma {choice.gamma:.6g} stated, though it gained nothing"


def _possible(scores: Scores) -> bool:
    """Return whether there can be such scores: H of U and S, all within their bounds."""
    percent = all(0 <= value <= 100 for value in (scores.t1, scores.u, scores.s, scores.h))
    return percent and 0 <= scores.ausuc <= 1


def score_faults(record: RunRecord | IncrementalRecord) -> Iterator[str]:
    """Yield which scores there cannot be, where they are not recomputed."""
    for name, rule in record.rules.items() if isinstance(record, RunRecord) else ():
        scores, h = rule.scores, harmonic_mean(rule.scores.u, rule.scores.s)
        if not _possible(scores):
            yield f"{name}: it has scores that there cannot be"
        elif disagreement(scores.h, h):
            yield f"{name}.scores.h: {scores.h:.12g} stated, {h:.12g} of its U and S"


def _costs(record: RunRecord) -> Iterator[str]:
    numbers = [*record.cost.model_dump().values(), *record.localisation.values()]
    if not all(0 <= number < MOST for number in numbers):
        yield "a cost or what it says of localisation is no number that can be"


def _summaries(run: Stored) -> Iterator[str]:
    """Check that the epochs that were read are there, and that scores can be scores."""
    record = run.record
    items, classes, seen, names = artifacts.read_tested(run.folder)
    if not (len(names) == len(classes) and 0 < seen < len(classes)):
        yield f"{seen} of {len(classes)} classes are seen, {len(names)} have names"
        return
    summaries = artifacts.read_summaries(run.folder)
    needed = epochs_needed(record.spec.rules, record.choice, record.choice.epochs)
    needed |= {e for rule in record.rules.values() for e in (rule.epoch, rule.t1_epoch)}
    if missing := sorted(needed - summaries.keys()):
        yield f"no scores are kept of epoch {missing[0]}"
    if max(summaries, default=0) != record.choice.epochs:
        yield f"the last epoch kept is {max(summaries, default=0)} of {record.choice.epochs}"
    if set(record.rules) != set(record.spec.rules):
        yield f"its rules are {', '.join(record.rules)}, and not those of its spec"
    for epoch, summary in summaries.items():
        if not _is_summary(summary, len(items), seen, len(classes)):
            yield f"the scores kept of epoch {epoch} cannot be scores of its items and classes"


def _is_summary(summary: ScoreSummary, items: int, seen: int, classes: int) -> bool:
    arrays = [getattr(summary, name) for name in ScoreSummary.ARRAYS]
    if any(len(array) != items or not np.isfinite(array).all() for array in arrays):
        return False
    top = np.maximum(summary.seen_score, summary.unseen_score).astype(np.float64)
    above = summary.log_sum_exp - top
    slack = ROUNDING * np.maximum(1.0, np.abs(top))
    return bool(
        ((summary.seen_class >= 0) & (summary.seen_class < seen)).all()
        and ((summary.unseen_class >= seen) & (summary.unseen_class < classes)).all()
        and ((above >= 0) & (above <= np.log(classes) + slack)).all()
        and 0 < summary.scale < np.inf
    )


def _answers(run: StoredIncremental) -> Iterator[str]:
    """Check that answers are classes that were known."""
    predicted, items, order = artifacts.read_predicted(run.folder)
    sizes = run.record.sizes
    if min(sizes, default=0) < 1 or predicted.shape != (len(sizes), len(items)):
        yield f"its answers are {predicted.shape}, of {len(sizes)} tasks and {len(items)} items"
    elif sum(sizes) != len(order) or not len(items):
        yield f"its tasks have {sum(sizes)} classes, its order {len(order)}"
    elif not ((predicted >= 0) & (predicted < np.cumsum(sizes)[:, None])).all():
        yield "it answers with a class that it had not learnt"
