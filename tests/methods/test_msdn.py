"""MSDN's two branches against their formulas in loops, what is minimised, and what is scored."""

import numpy as np
import pytest
import torch
from overfitting import KNOWN, learnt_by_heart
from plain import Shown, calibrated, entropy_of, noise, stirred
from scipy.special import softmax

from zslbench.methods.msdn import MSDN, Network, mutual

SEEN, LABELS = 5, torch.tensor([0, 1, 4])
PLACES, WIDTH, WORDS = 4, 6, 3 * noise(7, 3, seed=5)
TABLE = noise(SEEN + 3, 7, seed=2).abs()
MAPS = noise(3, PLACES, WIDTH, seed=3)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def msdn(**settings):
    """MSDN on maps that are shown to it, its parameters drawn."""
    model = MSDN(MSDN.Config(calibration=2.0, distillation=3.0, **settings), 0)
    model.network, model.unseen = stirred(Network(Shown(WIDTH), WORDS)), TABLE[SEEN:]
    return model


def branches(network, found):
    """Scores of both branches and the first one's attention, of one map."""
    text = network.text
    words, attend, score = (p.detach().numpy() for p in (text.words, text.attend, text.score))
    attend_back, score_back = (p.detach().numpy() for p in (network.attend, network.score))
    places = [f / np.linalg.norm(f) for f in found]
    attention = np.array([softmax([v @ attend @ f for f in places]) for v in words])
    local = [sum(a * f for a, f in zip(row, places, strict=True)) for row in attention]
    first = [v @ score @ x for v, x in zip(words, local, strict=True)]
    second = np.zeros(len(words))
    for f in places:
        shares = softmax([v @ attend_back @ f for v in words])
        second += [share * (v @ score_back @ f) for share, v in zip(shares, words, strict=True)]
    return np.array(first), second, attention.T


def test_branches_equal_loops_over_attributes_and_places():
    network = msdn().network
    found = network(MAPS)
    for image, shown in enumerate(MAPS.numpy()):
        for got, expected in zip(found, branches(network, shown), strict=True):
            np.testing.assert_allclose(got[image].detach(), expected, rtol=1e-4, atol=1e-5)


def test_at_the_start_words_are_unit_and_the_second_branch_says_nothing():
    network = Network(Shown(WIDTH), WORDS)
    torch.testing.assert_close(network.text.words.norm(dim=1), torch.ones(7))
    first, second, attention = network(MAPS)
    assert first.abs().max() > 0.1
    assert not second.any()
    torch.testing.assert_close(attention, torch.full_like(attention, 1 / PLACES))
    second.sum().backward()
    assert network.score.grad.any()
    assert not network.attend.grad.any()


def test_distillation_equals_a_loop_over_images():
    one, other = 2 * noise(4, 6), 2 * noise(4, 6, seed=1)
    expected = 0.0
    for s, t in zip(one.double().numpy(), other.double().numpy(), strict=True):
        weights = (s - t) ** 2 / np.sqrt(sum((s - t) ** 2))
        p, q = softmax(s), softmax(t)
        middle = (p + q) / 2
        divergence = sum(p * np.log(p / middle) + q * np.log(q / middle)) / 2
        expected += (sum(weights * abs(s - t)) + divergence) / 4
    assert float(mutual(one, other, "js")) == pytest.approx(expected, rel=1e-5)
    assert float(mutual(one, one, "js")) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("over", ["all", "seen"])
def test_losses_equal_loops_over_images_and_branches(over):
    model = msdn(cross_entropy=over)
    found = model.losses(MAPS, LABELS, TABLE[:SEEN])
    scores = [branches(model.network, shown)[:2] for shown in MAPS.numpy()]
    table, moved, expected = TABLE.numpy(), [], {"classes": 0.0, "calibration": 0.0}
    for branch in range(2):
        logits = np.array([table @ pair[branch] for pair in scores])
        known = logits if over == "all" else logits[:, :SEEN]
        for row, label in zip(known, LABELS, strict=True):
            expected["classes"] += entropy_of(row, label) / len(LABELS)
        expected["calibration"] += 2.0 * calibrated(logits, SEEN)
        shifted = logits + np.where(np.arange(len(table)) < SEEN, -1, 1)
        moved.append(shifted if over == "all" else shifted[:, :SEEN])
    apart = mutual(*(torch.from_numpy(logits) for logits in moved), "js")
    expected["distillation"] = 3.0 * float(apart)
    assert {name: float(v.detach()) for name, v in found.items()} == pytest.approx(expected, 1e-4)


def test_unseen_attributes_are_in_what_is_over_all_classes_and_in_the_calibration():
    changed = {}
    for over in ("all", "seen"):
        model = msdn(cross_entropy=over)
        before = model.losses(MAPS, LABELS, TABLE[:SEEN])
        model.unseen = model.unseen.flip(1)
        after = model.losses(MAPS, LABELS, TABLE[:SEEN])
        changed[over] = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed["all"] == {"classes", "calibration", "distillation"}
    assert changed["seen"] == {"calibration"}


def test_scores_are_the_mixture_without_the_margin_of_1():
    model = msdn(mixing=0.7)
    found = model.logits(MAPS, TABLE).detach().numpy()
    for image, shown in enumerate(MAPS.numpy()):
        first, second, _ = branches(model.network, shown)
        expected = TABLE.numpy() @ (0.7 * first + 0.3 * second)
        np.testing.assert_allclose(found[image], expected, rtol=1e-4, atol=1e-4)


def test_an_attribute_is_seen_where_its_words_look():
    model = msdn()
    patches, maps = model.look(MAPS)
    attention = model.network(MAPS)[2]
    torch.testing.assert_close(maps, attention)
    torch.testing.assert_close(patches, attention.mean(dim=-1))


def test_each_dataset_has_the_released_settings():
    config = MSDN.Config.parse({"preset": "SUN", "epochs": 5}, "msdn")
    assert (config.calibration, config.distillation, config.mixing) == (1e-4, 0.01, 0.7)
    assert config.epochs == 5
    loop = {"epochs": 12, "batch_size": 64, "augment": True}
    assert MSDN.Config.parse({"preset": "CUB", **loop}, "msdn") == MSDN.Config()


@pytest.mark.slow
def test_64_images_can_be_learnt_by_heart():
    assert learnt_by_heart(MSDN, lr=3e-2, steps=80) > KNOWN
