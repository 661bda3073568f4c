"""Runs of a bundle beside one's own: labels are filled in from own data, conflicts refused."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from zslbench.data.types import Dataset
from zslbench.engines.execute import Job, write_evaluation
from zslbench.errors import DataError
from zslbench.metrics.forgetting import TaskPredictions
from zslbench.protocol import final_world
from zslbench.protocol.run import Evaluation
from zslbench.protocol.run_tasks import Course
from zslbench.protocol.tasks import TaskSequence
from zslbench.records import Opening, disagreement
from zslbench.store import Store, Stored, StoredIncremental, artifacts
from zslbench.studies.bundles.contents import AnyStored, Bundle
from zslbench.studies.bundles.own_data import OwnData
from zslbench.studies.bundles.results import RunVerdict, Verification, listed
from zslbench.studies.incremental.plan import write_course


class Brought(NamedTuple):
    """What came of an import.

    Attributes:
        new: Runs that were brought.
        known: Runs that were here with the same numbers.
        left_out: Runs whose test labels are not here.
        unverified: Runs that were brought, or are here, though not all of them was recomputed.
    """

    new: int
    known: int
    left_out: list[RunVerdict]
    unverified: list[RunVerdict]


def bring(bundle: Bundle, found: Verification, own: OwnData, store: Store) -> Brought:
    """Commit the runs of a bundle that a results folder lacks, and the openings.

    Everything is checked before anything is written; what is written is made from what was read,
    and no file of the bundle is copied.

    Raises:
        DataError: If a run is contradicted, or is here with other numbers.
    """
    if contradicted := found.of("contradicted"):
        raise DataError(
            bundle.path,
            f"{len(contradicted)} of {len(found.verdicts)} runs are contradicted, and nothing is "
            f"imported ({listed(contradicted)})",
            "Ask whoever made the bundle to export it again.",
        )
    labelled = {verdict.key for verdict in found.verdicts if verdict.labelled}
    runs = [run for run in bundle.runs if run.record.key in labelled]
    store.check()
    missing = [run for run in runs if not _is_here(run, bundle, store)]
    for entry in _new_entries(bundle, runs, store):
        store.commit(entry)
    for run in missing:
        _commit(run, own.of(run.record), store)
    consistent = found.of("consistent")
    left_out = [verdict for verdict in consistent if not verdict.labelled]
    unverified = [verdict for verdict in consistent if verdict.labelled]
    return Brought(len(missing), len(runs) - len(missing), left_out, unverified)


def _is_here(run: AnyStored, bundle: Bundle, store: Store) -> bool:
    """Return whether a run is in the store already.

    Raises:
        DataError: If it is, with other numbers.
    """
    record = run.record
    own = store.get(record.kind, record.key)
    if own is None:
        return False
    if conflict := disagreement(own, record):
        raise DataError(
            bundle.path,
            f"{record.spec.method} on {record.spec.dataset}, seed {record.spec.seed} (run "
            f"{record.key[:12]}) has {conflict.name} {conflict.other}, and {conflict.one} in "
            f"{store.results}; nothing is imported",
            "A seed of a configuration is kept once: export the other runs alone, or run other "
            "seeds in one of the two places, such as --seeds 3,4,5.",
        )
    return True


def _new_entries(bundle: Bundle, runs: Sequence[AnyStored], store: Store) -> list[Opening]:
    """Return the openings by the methods of some runs that the store lacks.

    Raises:
        DataError: If one is there with another content.
    """
    read = {(run.record.spec.method, run.record.test_digest) for run in runs}
    known, new = store.openings(), []
    for entry in bundle.openings.values():
        if (entry.method, entry.test_digest) not in read:
            continue
        if entry.key not in known:
            new.append(entry)
        elif disagreement(Opening.model_validate(known[entry.key]), entry):
            raise DataError(
                bundle.path,
                f"has another entry in its ledger under the key {entry.key[:12]} than "
                f"{store.results}; nothing is imported",
                "Ask whoever made the bundle to export it again.",
            )
    return new


def _commit(run: AnyStored, dataset: Dataset, store: Store) -> None:
    """Write a run as the one who ran it did, with labels of one's own."""
    if isinstance(run, Stored):
        evaluation = _evaluation(run, dataset)
        job = Job(run.record.spec, dataset)
        store.commit(run.record, partial(write_evaluation, evaluation=evaluation, job=job))
    else:
        course = _course(run, dataset)
        store.commit(run.record, partial(write_course, course=course))


def fill(run: AnyStored, dataset: Dataset) -> None:
    """Write labels of one's own into the folder of an unpacked run, which then can be read."""
    if isinstance(run, StoredIncremental):
        write_course(run.folder, _course(run, dataset))
        return
    world = final_world(dataset)
    names = [dataset.classes.names[number] for number in world.classes]
    tested = world.test, world.classes, world.open_labels()
    artifacts.write_test(run.folder, *tested, world.seen, names, dataset.files)


def _evaluation(run: Stored, dataset: Dataset) -> Evaluation:
    world, summaries = final_world(dataset), artifacts.read_summaries(run.folder)
    return Evaluation(run.record, summaries, world.test, world.classes, world.open_labels())


def _course(run: StoredIncremental, dataset: Dataset) -> Course:
    spec = run.record.spec
    sequence = TaskSequence.of(dataset, spec.base, spec.increment, spec.seed)
    predicted, items, order = artifacts.read_predicted(run.folder)
    labels = sequence.open_labels(lambda: None)
    return Course(run.record, TaskPredictions(predicted, labels, sequence.known), items, order)
