"""Attributes on a map, and the losses of those who use them, against plain loops in float64."""

import numpy as np
import pytest
import torch

from zslbench.data.attribute_groups import attribute_groups
from zslbench.data.types import ClassTable
from zslbench.nn.attributes import (
    WordQueries,
    block_norms,
    calibrated_losses,
    channel_norms,
    group_lasso,
    self_calibration,
    spread,
    unseen_bias,
)

SEEN = 5
GROUPS = [0, 0, 1, 2, 1, 2, 2]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(vector):
    return vector / np.linalg.norm(vector)


def softmax(values):
    raised = np.exp(values - np.max(values))
    return raised / raised.sum()


@pytest.mark.parametrize("again", [True, False])
def test_word_queries_equal_loops_over_attributes_and_places(again):
    found = noise(2, 9, 24)
    queries = WordQueries(3 * noise(10, 6, seed=5), 24, uniform=False, unit=again)
    with torch.no_grad():
        queries.words.mul_(1.5)
        attention, scores = queries(found)
    attend, score, words = (
        part.detach().double().numpy() for part in (queries.attend, queries.score, queries.words)
    )
    for image in range(2):
        places = [unit(f) for f in found[image].double().numpy()]
        for k, word in enumerate(words):
            v = unit(word) if again else word
            weights = softmax([v @ attend @ f for f in places])
            pooled = sum(w * f for w, f in zip(weights, places, strict=True))
            np.testing.assert_allclose(attention[image, :, k].numpy(), weights, rtol=1e-4)
            found_score = float(scores[image, k])
            np.testing.assert_allclose(found_score, v @ score @ pooled, rtol=1e-3, atol=1e-4)


def test_words_start_as_unit_rows_and_are_trained_and_attention_may_start_uniform():
    queries = WordQueries(3 * noise(10, 6), 24, uniform=True, unit=False)
    torch.testing.assert_close(queries.words.norm(dim=1), torch.ones(10))
    attention, _ = queries(noise(2, 9, 24))
    torch.testing.assert_close(attention, torch.full((2, 9, 10), 1 / 9))
    assert all(parameter.requires_grad for parameter in queries.parameters())


def test_self_calibration_equals_a_loop_over_images():
    logits = 4 * noise(6, 8)
    masses = []
    for row in logits.double().numpy():
        shifted = row + np.where(np.arange(8) < SEEN, -1, 1)
        masses.append(softmax(shifted)[SEEN:].sum())
    expected = -np.log(np.mean(masses))
    assert float(self_calibration(logits, SEEN)) == pytest.approx(expected, rel=1e-5)


def test_self_calibration_is_finite_where_unseen_classes_have_no_mass_at_all():
    logits = torch.tensor([[200.0, 0.0], [150.0, 0.0]], requires_grad=True)
    loss = self_calibration(logits, 1)
    loss.backward()
    assert loss.item() == pytest.approx(148 + np.log(2), rel=1e-5)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("over", "classes"), [("all", 8), ("seen", SEEN)])
def test_cross_entropy_is_over_all_classes_or_seen_ones(over, classes):
    logits, labels = noise(6, 8), torch.tensor([0, 1, 2, 3, 4, 0])
    found = calibrated_losses(logits, labels, SEEN, over, 0.5)
    rows = logits.double().numpy()
    expected = -np.mean([
        np.log(softmax(row[:classes])[label]) for row, label in zip(rows, labels, strict=True)
    ])  # fmt: skip
    assert float(found["classes"]) == pytest.approx(expected, rel=1e-5)
    assert found["calibration"] == 0.5 * self_calibration(logits, SEEN)


GAPS = ["released", "paper"]


@pytest.mark.parametrize("how", GAPS)
def test_unseen_bias_equals_a_loop_over_images(how):
    logits = noise(6, 8)
    losses, gaps = [], []
    for row in logits.double().numpy():
        seen, unseen = row[:SEEN], row[SEEN:]
        mean, power = seen.mean() - unseen.mean(), 1 if how == "released" else 2
        parts = mean, seen.std(ddof=1) ** power - unseen.std(ddof=1) ** power
        losses.append(sum(max(x, 0) if how == "released" else x**2 for x in parts))
        gaps.append(parts)
    assert np.min(gaps, axis=0).max() < 0 < np.max(gaps, axis=0).min()  # both, on either side of 0
    assert float(unseen_bias(logits, SEEN, how)) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("how", GAPS)
def test_unseen_bias_is_nothing_where_seen_and_unseen_scores_are_alike(how):
    seen = noise(5, 7)
    alike, more = (
        float(unseen_bias(torch.cat([seen, unseen], dim=1), 7, how))
        for unseen in (seen.flip(1), 2 * seen + 9)
    )
    assert alike == pytest.approx(0, abs=1e-5)
    assert more == 0 if how == "released" else more > 0


@pytest.mark.parametrize("how", GAPS)
def test_unseen_bias_of_an_only_unseen_class_takes_its_deviation_as_0(how):
    logits = noise(6, SEEN + 1).requires_grad_()
    unseen_bias(logits, SEEN, how).backward()
    assert torch.isfinite(logits.grad).all()


def test_decorrelations_equal_loops_over_groups_and_channels():
    rows = noise(7, 4)
    numbers, groups = rows.double().numpy(), np.array(GROUPS)
    by_channel = [
        np.sqrt(sum(numbers[k, d] ** 2 for k in range(7) if groups[k] == g))
        for g in range(3)
        for d in range(4)
    ]
    by_block = [np.sqrt((numbers[groups == g] ** 2).sum()) for g in range(3)]
    group = torch.tensor(GROUPS)
    assert float(group_lasso(rows, group)) == pytest.approx(np.mean(by_channel), rel=1e-5)
    assert float(channel_norms(rows, group)) == pytest.approx(np.sum(by_channel), rel=1e-5)
    assert float(block_norms(rows, group)) == pytest.approx(np.sum(by_block), rel=1e-5)


def test_spread_equals_loops_over_attributes_and_places():
    maps = noise(2, 3, 16).sigmoid()
    found = spread(maps)
    for image in range(2):
        for k in range(3):
            grid = maps[image, k].double().numpy().reshape(4, 4)
            row, column = np.unravel_index(grid.argmax(), grid.shape)
            expected = sum(
                grid[r, c] * ((r - row) ** 2 + (c - column) ** 2)
                for r in range(4)
                for c in range(4)
            )
            assert float(found[image, k]) == pytest.approx(expected, rel=1e-5)


# ------------------------------------------------------------- groups of attributes


def table_of(attributes, names=()):
    rows = np.ones((2, attributes))
    return ClassTable(("a", "b"), rows, rows, names)


@pytest.mark.parametrize(
    ("dataset", "attributes", "sizes", "told"),
    [
        ("AWA2", 85, [8, 6, 4, 18, 10, 5, 12, 15, 7], {0: 0, 17: 2, 33: 3, 44: 3, 34: 4, 84: 8}),
        ("AwA1", 85, [8, 6, 4, 18, 10, 5, 12, 15, 7], {63: 7}),
        ("SUN", 102, [36, 40, 10, 16], {35: 0, 36: 1, 80: 1, 99: 1, 74: 2, 84: 2, 98: 3, 101: 3}),
    ],
)
def test_groups_of_awa_and_sun_are_as_listed(dataset, attributes, sizes, told):
    groups = attribute_groups(dataset, table_of(attributes))
    assert np.bincount(groups).tolist() == sizes
    assert {k: groups[k] for k in told} == told


@pytest.mark.parametrize(
    ("dataset", "names", "groups"),
    [
        ("CUB", ("has_bill::long", "has_bill::short", "has_wing::blue"), [0, 0, 1]),
        ("CUB", (), None),
        ("SUN", (), None),  # a user's own, of three attributes
        ("SUN", ("x::1", "y::2", "x::3"), [0, 1, 0]),
    ],
)
def test_families_of_names_come_first_and_no_group_is_guessed(dataset, names, groups):
    found = attribute_groups(dataset, table_of(3, names))
    assert groups is None if found is None else found.tolist() == groups
