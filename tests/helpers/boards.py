"""Stored runs for tables: ESZSL on the toy data, and the same under other names; their tables."""

from collections import Counter
from dataclasses import replace

from zslbench.engines.execute import Job, write_evaluation
from zslbench.method.conformance import toy_dataset
from zslbench.methods.eszsl import ESZSL
from zslbench.protocol.run import evaluate, select
from zslbench.records import RunSpec
from zslbench.report.records import csv_text
from zslbench.report.writers import markdown
from zslbench.store import Stored
from zslbench.studies.leaderboard.results import build_leaderboard

RULES = ("validation", "last", "published")


def stored_run(folder, *, seed=0, **config):
    """Run ESZSL on the toy data and keep it in a folder, as the store would."""
    dataset = toy_dataset()
    spec = RunSpec(
        method="eszsl", method_version=1, config=ESZSL.Config(**config).model_dump(),
        settings=config, dataset=dataset.name, data_digest=dataset.digest,
        backbone=dataset.backbone, seed=seed, precision="float64", rules=RULES, tuning_worlds=2,
    )  # fmt: skip
    evaluation = evaluate(spec, select(spec, dataset), dataset, lambda opening: None)
    folder.mkdir()
    write_evaluation(folder, evaluation, Job(spec, dataset))
    return Stored(evaluation.record, folder)


def changed(run, **spec):
    """The same run under another name, on another dataset, with another seed."""
    record = run.record
    return replace(
        run, record=record.model_copy(update={"spec": record.spec.model_copy(update=spec)})
    )


def selected_on_test(run, rule="published"):
    """The same run, its rule having read the test labels."""
    rules = run.record.rules
    cheat = {**rules, rule: rules[rule].model_copy(update={"selected_on_test": True})}
    return replace(run, record=run.record.model_copy(update={"rules": cheat}))


def as_markdown(board):
    return markdown(board.document())


def as_csv(board):
    return csv_text(board.records())


def board_of(stored, rules=("validation",)):
    return build_leaderboard(stored, Counter(), rules)


def rows_of(stored, rules=("validation",)):
    return board_of(stored, rules).rows


def raw_title(stored):
    return next(row.title for row in rows_of(stored) if row.settings)
