"""Submissions read in our protocol: labels opened once a file, counted, the row marked external.

How the scores were made, and whether test images were used, is unknown here; every table
says so.
"""

from collections.abc import Sequence
from functools import partial
from time import perf_counter

from zslbench.data.types import Dataset, content_digest
from zslbench.engines.execute import Job, write_evaluation
from zslbench.environment import environment, peak_memory_mib
from zslbench.errors import ZslbenchError
from zslbench.method import PublishedRule
from zslbench.metrics import score_unit, summarise
from zslbench.protocol import RULES, Trajectory, final_world
from zslbench.protocol.run import Evaluation
from zslbench.records import Backbone, Choice, Cost, Opening, RunRecord, RunSpec
from zslbench.store import Store
from zslbench.studies.groups import EXTERNAL, NAME
from zslbench.studies.submit.submission import Submission


def submit(
    submissions: Sequence[Submission], name: str, dataset: Dataset, store: Store
) -> set[str]:
    """Score submissions, one for each seed, and commit them; return their keys.

    What was submitted before is not opened again.

    Raises:
        ZslbenchError: On a name that no table can show, or the same scores given twice.
    """
    if not NAME.fullmatch(name):
        raise ZslbenchError(
            f"--name {name!r}: write up to 40 letters, digits, blanks, dots, + or -, such as MyViT."
        )
    digests = [submission.digest for submission in submissions]
    if len(set(digests)) < len(digests):
        raise ZslbenchError("Two of the files hold the same scores: seeds must differ.")
    store.check()
    keys = set()
    for seed, submission in enumerate(submissions):
        spec = _spec(name, seed, content_digest(*digests)[:16], dataset)
        keys.add(spec.key)
        if store.missing("run", [spec.key]):
            job = Job(spec, dataset)
            found = _evaluate(submission, job, store)
            store.commit(found.record, partial(write_evaluation, evaluation=found, job=job))
    return keys


def _spec(name: str, seed: int, submission: str, dataset: Dataset) -> RunSpec:
    """Return the spec of one file; all files of a submission share all of it but the seed."""
    return RunSpec(
        method=EXTERNAL + name,
        method_version=1,
        config={"submission": submission},
        settings={"submission": submission[:8]},
        dataset=dataset.name,
        data_digest=dataset.digest,
        backbone=Backbone(name="not told", weights_digest=""),
        seed=seed,
        precision="not told",
        tuning_worlds=0,
        rules=("submitted",),
    )


def _evaluate(submission: Submission, job: Job, store: Store) -> Evaluation:
    """Open the labels, once, and read the submission at its own gamma."""
    began, spec, world = perf_counter(), job.spec, final_world(job.dataset)
    unit = score_unit(submission.scores[:, : world.seen])
    summary = summarise(submission.scores, world.seen, unit)
    opening = Opening(
        run_key=spec.key,
        method=spec.method,
        dataset=spec.dataset,
        test_digest=job.dataset.test_digest,
    )
    labels = world.open_labels(lambda: store.commit(opening))
    choice = _no_choice(spec, submission.gamma / unit)
    run = Trajectory({1: summary}, labels, world.seen, choice, PublishedRule())
    record = RunRecord(
        key=spec.key,
        spec=spec,
        choice=choice,
        rules={"submitted": RULES["validation"](run)},
        plain=run.outcome(1).scores(0.0),
        oracle_h=run.outcome(1).curve.best()[0],
        losses={},
        opening=opening.key,
        test_digest=job.dataset.test_digest,
        transductive=False,
        deterministic=False,
        cost=Cost(
            fit_seconds=0.0,
            score_seconds=perf_counter() - began,
            images_per_second=0.0,
            peak_memory_mib=peak_memory_mib(),
        ),
        environment=environment(),
    )
    return Evaluation(record, {1: summary}, world.test, world.classes, labels)


def _no_choice(spec: RunSpec, gamma: float) -> Choice:
    """Return what stands where a choice would: nothing was chosen here."""
    return Choice(
        key=spec.choice_key,
        method=spec.method,
        dataset=spec.dataset,
        config=spec.config,
        epoch=1,
        t1_epoch=1,
        gamma=gamma,
        last_gamma=gamma,
        gain=0.0,
        gain_error=None,
        worlds=(),
        candidates=(),
        seconds=0.0,
    )
