"""Stored runs for tables: ESZSL on the toy data, and the same under other names."""

from dataclasses import replace

from zslbench.engines.execute import Job, write_evaluation
from zslbench.method.conformance import toy_dataset
from zslbench.methods.eszsl import ESZSL
from zslbench.protocol.run import evaluate, select
from zslbench.records import RunSpec
from zslbench.store import Stored

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
