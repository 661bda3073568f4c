"""Marks of a default that is too small: the end of a schedule, grid or range; a falling loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.method import MethodConfig, hyper, tuned
from zslbench.method.conformance import toy_dataset
from zslbench.methods.eszsl import ESZSL
from zslbench.protocol.limits import (
    STILL_FALLING,
    limits_of,
    limits_of_tasks,
    still_falling,
    total_loss,
)
from zslbench.protocol.run import evaluate, select
from zslbench.records import Candidate, IncrementalRecord, RunSpec, Trial


class Searched(MethodConfig):
    """Settings of each kind that a sweep searches."""

    rate: float | None = tuned("eta", "a rate", 1e-4, 1e4, (0.1, 1.0, 10.0))
    M: int = hyper(4, "M", "patches", 1, 49)


@pytest.fixture(scope="module")
def run():
    """The record of a run: ESZSL, its regularisers and targets open."""
    dataset = toy_dataset()
    spec = RunSpec(
        method="eszsl", method_version=2, config=ESZSL.Config().stored(), dataset=dataset.name,
        data_digest=dataset.digest, backbone=dataset.backbone, seed=0, precision="float64",
        tuning_worlds=2,
    )  # fmt: skip
    return evaluate(spec, select(spec, dataset), dataset, lambda opening: None).record


def candidates(epochs, *configs):
    return tuple(
        Candidate(config=config, epoch=epoch, ausuc=0.1, t1=1.0, h=1.0)
        for config in configs or ({},)
        for epoch in range(1, epochs + 1)
    )


def changed(run, settings=None, losses=None, **choice):
    """The record with another choice, other settings given beforehand, other losses."""
    spec = run.spec.model_copy(update={"config": settings or {}})
    told = {"config": {}, "candidates": candidates(1), "epoch": 1, **choice}
    choice = run.choice.model_copy(update=told)
    return run.model_copy(update={"spec": spec, "choice": choice, "losses": losses or {}})


@pytest.mark.parametrize(
    ("epoch", "epochs", "marked"),
    [
        (12, 12, True), (11, 12, True), (10, 12, False), (10, 10, True), (9, 10, False),
        (19, 20, True), (18, 20, False), (28, 30, True), (27, 30, False), (2, 2, True),
        (1, 2, False), (1, 1, False), (64, 70, True), (63, 70, False),
    ],
)  # fmt: skip
def test_an_epoch_chosen_in_the_last_tenth_is_marked(run, epoch, epochs, marked):
    found = limits_of(changed(run, epoch=epoch, candidates=candidates(epochs)))
    assert found == ((f"epoch {epoch} of {epochs} chosen: raise epochs",) if marked else ())


TEN = {"epochs": 10, "classifier_epochs": 25}


@pytest.mark.parametrize(
    ("settings", "epoch", "epochs", "late", "classifier"),
    [
        (TEN, 225, 250, "", 25), (TEN, 123, 250, "", 23), (TEN, 122, 250, "", None),
        (TEN, 1, 250, "", None), (TEN, 226, 250, "10 of 10", None), (TEN, 250, 250, "10 of 10", 25),
        ({"epochs": 30, "classifier_epochs": 25}, 5, 30, "", None),  # yields the last of each alone
        ({"epochs": 30, "classifier_epochs": 25}, 29, 30, "29 of 30", None),
        ({"epochs": 30, "classifier_epochs": 1}, 5, 30, "", None),
        ({"epochs": 1, "classifier_epochs": 25}, 25, 25, "", 25),
    ],
)  # fmt: skip
def test_epochs_of_a_generator_and_of_its_classifier_are_marked_apart(
    run, settings, epoch, epochs, late, classifier
):
    marks = []
    if late:
        marks.append(f"epoch {late} chosen: raise epochs")
    if classifier:
        fix = "raise classifier_lr or classifier_epochs"
        marks.append(f"epoch of the classifier {classifier} of 25 chosen: {fix}")
    found = changed(run, epoch=epoch, candidates=candidates(epochs), config=settings)
    assert limits_of(found) == tuple(marks)


LOW, HIGH = ("the low end of its grid: try lower values", "the high end of its grid: try higher "
             "values")  # fmt: skip


@pytest.mark.parametrize(
    ("tried", "chosen", "given", "marks"),
    [
        ((0.1, 1.0, 10.0), 0.1, None, [f"x 0.1 chosen, {LOW}"]),
        ((0.1, 1.0, 10.0), 10.0, None, [f"x 10 chosen, {HIGH}"]),
        ((10.0, 0.1, 1.0), 10.0, None, [f"x 10 chosen, {HIGH}"]),
        ((0.1, 1.0, 10.0), 1.0, None, []),
        ((0.1, 1.0), 1.0, None, [f"x 1 chosen, {HIGH}"]),
        ((0.1,), 0.1, None, []),  # nothing was chosen among
        ((0.1, 1.0, 10.0), 10.0, 10.0, []),  # its user's
        (("binary", "signed"), "signed", None, []),  # names have no ends
        ((False, True), True, None, []),
    ],
)
def test_a_number_chosen_at_an_end_of_its_grid_is_marked(run, tried, chosen, given, marks):
    table = candidates(1, *({"x": value} for value in tried))
    record = changed(run, {"x": given}, config={"x": chosen}, candidates=table)
    assert list(limits_of(record)) == marks


def test_a_grid_is_what_the_run_itself_has_tried(run):
    """Of an old record too, whatever its method would try today."""
    table = candidates(1, *({"reg_x": value} for value in (0.5, 5.0)))
    record = changed(run, {"reg_x": None}, config={"reg_x": 5.0}, candidates=table)
    assert list(limits_of(record)) == [f"reg_x 5 chosen, {HIGH}"]


@pytest.mark.parametrize(
    ("name", "value", "place", "mark"),
    [
        ("rate", 2e-4, 0.02, "rate 0.0002 chosen, the low end of its range: try lower values"),
        ("rate", 2e-4, 0.021, ""),
        ("rate", 9e3, 0.99, "rate 9000 chosen, the high end of its range: try higher values"),
        ("rate", 1.0, 0.5, ""),
        ("M", 49, 1.0, "M 49 chosen, the high end of its range: no further value is allowed"),
        ("M", 40, 1.0, "M 40 chosen, the high end of its range: try higher values"),
    ],
)
def test_a_setting_that_a_sweep_left_within_2_percent_of_an_end_is_marked(
    run, name, value, place, mark
):
    record = changed(run, {name: value}, config={name: value})
    assert limits_of(record, Searched, {name: place}) == ((mark,) if mark else ())


def test_a_trial_has_the_limits_of_its_choice(run):
    choice = changed(run, epoch=3, candidates=candidates(3)).choice
    about = {"key": "k", "sweep": "s", "number": 0, "params": {}, "seconds": 1.0, "steps": 3}
    trial = Trial(state="complete", spec=run.spec, value=1.0, choice=choice, **about)
    assert limits_of(trial) == ("epoch 3 of 3 chosen: raise epochs",)
    pruned = trial.model_copy(update={"state": "pruned", "choice": None})
    assert limits_of(pruned) == ()


def by(factor, epochs=12, start=3.0):
    """A loss that falls to `factor` of itself every epoch."""
    return [start * factor**epoch for epoch in range(epochs)]


FLAT_AT_THE_END = [*by(0.7, 20), *[by(0.7, 20)[-1]] * 12]
NOISE = np.random.default_rng(0).normal(size=100)


@pytest.mark.parametrize(
    ("loss", "falls"),
    [
        (by(0.90), True),
        (by(0.94, 30), True),
        (by(0.96), False),
        (by(1.0), False),
        (by(1.1), False),
        (FLAT_AT_THE_END, False),
        ([*by(1.0), *by(0.8, 4)], True),
        ([*by(1.0, 100), 2.0], False),  # one epoch's luck among ten
        ((2 * (1 + 0.02 * NOISE)).tolist(), False),
        (by(0.9, 4), True),
        (by(0.5, 3), False),  # too few epochs to tell
        ([], False),
        ([3.0], False),
        ([5.0, 2.0, 1.0, 0.5, 0.2, -0.1], False),  # no level to fall by a share of
        ([-v for v in by(1.1)], False),
        ([1.0, 0.5, 0.2, 0.1, 0.05, 0.0], False),
        ([3.0, *by(0.5, 6, 0.02)], False),  # all but gone
        ([float("nan")] * 9, False),
    ],
)  # fmt: skip
def test_a_loss_still_falls_if_the_last_tenth_does_by_over_5_percent_an_epoch(loss, falls):
    assert still_falling(loss) is falls


@given(st.lists(st.floats(-1e6, 1e6), max_size=40))
def test_losses_that_reach_zero_are_never_marked(loss):
    assert not still_falling([*loss, 0.0])
    assert not still_falling([-1.0, *loss])


@given(st.lists(st.floats(0.1, 1e3), min_size=4, max_size=40), st.floats(0.01, 100))
def test_the_unit_of_a_loss_does_not_matter(loss, unit):
    end = np.array(loss[-max(3, -(-len(loss) // 10)) - 1 :])
    slope = np.polyfit(np.arange(len(end)), end, 1)[0]
    if abs(-slope / end.mean() - 0.05) > 1e-9 and abs(end.mean() / loss[0] - 0.01) > 1e-9:
        assert still_falling(loss) == still_falling([unit * value for value in loss])


@pytest.mark.parametrize(
    ("losses", "read"),
    [
        ({"classes": [1.0], "consistency": [2.0], "total": [3.0]}, [3.0]),
        ({"loss": [1.0]}, [1.0]),
        ({"encoder": [1.0], "decoder": [2.0]}, []),
        ({}, []),
    ],
)
def test_the_loss_read_is_the_total_or_the_only_one(losses, read):
    assert list(total_loss(losses)) == read


def test_a_run_whose_loss_falls_is_marked_after_its_choice(run):
    found = changed(run, epoch=12, candidates=candidates(12), losses={"total": by(0.8)})
    assert limits_of(found) == ("epoch 12 of 12 chosen: raise epochs", STILL_FALLING)


@pytest.mark.parametrize(
    ("loss", "marked"),
    [
        ([*by(0.8), *by(0.8)], True),
        ([*FLAT_AT_THE_END, *FLAT_AT_THE_END], False),
        ([*FLAT_AT_THE_END, *by(0.9, len(FLAT_AT_THE_END), 1e4)], True),
    ],
)
def test_a_task_whose_loss_falls_at_its_end_is_marked(loss, marked):
    """The first task's end, where the next one begins with a high loss, is an end too."""
    record = IncrementalRecord.model_construct(sizes=(3, 3), losses={"total": loss})
    assert limits_of_tasks(record) == ((STILL_FALLING,) if marked else ())
