"""The choice: AUSUC picks config and epoch, mean H picks gamma, one lucky world does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.method.conformance import toy_dataset
from zslbench.methods.eszsl import ESZSL
from zslbench.metrics import Outcome
from zslbench.protocol import Tuning, choose, choose_gamma, tuning_worlds
from zslbench.protocol.choice import best_gamma


def outcome(seed, *, bias=2.0, skill=1.5, n=60):
    """Images of 3 seen and 3 unseen classes; `bias` pulls every answer to the seen side."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, n)
    is_seen = labels < 3
    hit = rng.random(n) < 0.7
    margin = bias + skill * np.where(is_seen, 1, -1) + rng.normal(size=n)
    return Outcome(labels, 3, hit & is_seen, hit & ~is_seen, margin)


def mean_h(outcomes, gamma):
    return np.mean([o.scores(gamma).h for o in outcomes])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=4))
def test_gamma_has_the_best_mean_h_of_any_gamma_or_is_zero(seeds):
    outcomes = [outcome(seed) for seed in seeds]
    gamma, gain, error = choose_gamma([[o] for o in outcomes])
    steps = np.concatenate([o.curve.steps for o in outcomes])
    tried = [mean_h(outcomes, g) for g in [*steps, *(steps + 1e-9), -1e9, 1e9]]
    if gamma != 0:
        assert mean_h(outcomes, gamma) == pytest.approx(max(tried))
        assert gain > error
    else:
        assert gain <= error


def test_gamma_is_the_middle_of_its_plateau():
    labels = np.array([0, 1])
    lonely = Outcome(labels, 1, np.array([True, False]), np.array([False, True]),
                     np.array([5.0, 2.0]))  # fmt: skip
    gamma, gain, error = choose_gamma([[lonely]])
    assert gamma == pytest.approx(3.5)
    assert gain == pytest.approx(100.0)
    assert error is None


def test_gamma_is_zero_where_worlds_disagree_by_more_than_they_gain():
    helped, harmed = outcome(1, bias=3.0), outcome(2, bias=-3.0)
    gamma, gain, error = choose_gamma([[helped], [harmed]])
    assert gain <= error
    assert gamma == 0.0


def test_gamma_is_found_where_all_worlds_lean_to_the_seen_side():
    gamma, gain, error = choose_gamma([[outcome(seed, bias=3.0)] for seed in range(3)])
    assert 2.0 < gamma < 4.0
    assert gain > error > 0


def test_gamma_of_outcomes_that_are_never_right_is_zero():
    never = Outcome(np.array([0, 1]), 1, np.zeros(2, bool), np.zeros(2, bool), np.zeros(2))
    assert choose_gamma([[never], [never]]) == (0.0, 0.0, None)


def tunings(by_world):
    worlds = tuning_worlds(toy_dataset(), len(by_world))
    return [Tuning(world, [fit]) for world, fit in zip(worlds, by_world, strict=True)]


ABOUT = {"key": "k", "method": "m", "dataset": "d", "seconds": 1.0}
CONFIGS = ESZSL.Config(reg_s=1.0).candidates()[:2]


def test_choice_takes_config_and_epoch_with_the_best_mean_ausuc():
    poor, good, fair = ({"skill": s} for s in (0.0, 3.0, 1.0))
    by_world = [
        [[outcome(w, **poor), outcome(w, **fair)], [outcome(w, **fair), outcome(w, **good)]]
        for w in range(3)
    ]
    choice = choose(CONFIGS, tunings(by_world), **ABOUT)
    assert choice.config == CONFIGS[1].model_dump()
    assert choice.epoch == 2
    assert len(choice.candidates) == 4
    assert len(choice.worlds) == 3


def test_choice_averages_over_worlds_and_is_not_led_by_one():
    """The first config is far better in one world, the second a little better in two."""
    lucky = [[outcome(0, skill=4.0)], [outcome(0, skill=0.2)]]
    others = [[[outcome(w, skill=0.0)], [outcome(w, skill=3.5)]] for w in (1, 2)]
    alone = choose(CONFIGS, tunings([lucky]), **ABOUT)
    together = choose(CONFIGS, tunings([lucky, *others]), **ABOUT)
    assert alone.config == CONFIGS[0].model_dump()
    assert together.config == CONFIGS[1].model_dump()


def test_choice_keeps_a_gamma_for_the_last_epoch_and_an_epoch_for_t1():
    early, late = [outcome(w, bias=4.0) for w in range(3)], [outcome(w, bias=1.0) for w in range(3)]
    by_world = [[[first, last]] for first, last in zip(early, late, strict=True)]
    choice = choose(CONFIGS[:1], tunings(by_world), **ABOUT)
    assert choice.last_gamma == pytest.approx(choose_gamma([[o] for o in late])[0])
    assert choice.t1_epoch in (1, 2)


# ---------------------------------------------------------------- what might have been chosen


def test_alternatives_are_what_the_other_worlds_choose_for_the_same_config():
    by_world = [
        [[outcome(10 * w + e, skill=1 + e % 3, bias=w) for e in range(5)]] for w in range(4)
    ]
    every = tunings(by_world)
    choice = choose(CONFIGS[:1], every, **ABOUT)
    assert [a.without for a in choice.alternatives] == [t.world.name for t in every]
    for left_out, found in enumerate(choice.alternatives):
        alone = choose(CONFIGS[:1], every[:left_out] + every[left_out + 1 :], **ABOUT)
        assert found.epoch == alone.epoch
        others = [t.at(0, found.epoch - 1) for t in every if t.world.name != found.without]
        assert found.gamma == (best_gamma if choice.gamma else choose_gamma)(others)[0]


def test_alternatives_keep_the_decision_to_use_a_gamma():
    """Some two of these worlds gain less than their standard error; all three gain more."""
    by_world = [[[outcome(w, bias=bias)]] for w, bias in enumerate((0.3, 3.0, 3.0))]
    every = tunings(by_world)
    choice = choose(CONFIGS[:1], every, **ABOUT)
    pairs = [[t.at(0, 0) for n, t in enumerate(every) if n != left] for left in range(3)]
    assert choice.gamma > 0.0 in [choose_gamma(pair)[0] for pair in pairs]
    assert all(alternative.gamma > 0 for alternative in choice.alternatives)


def test_one_tuning_world_has_no_alternatives():
    assert choose(CONFIGS[:1], tunings([[[outcome(0)]]]), **ABOUT).alternatives == ()


def test_tuning_seeds_are_averaged_within_their_world_first():
    """The gain's standard error is that of worlds: seeds make it no smaller by their number."""
    fits = [[outcome(10 * w + seed, bias=3.0) for seed in range(2)] for w in range(3)]
    gamma, gain, error = choose_gamma(fits)
    gains = [np.mean([o.scores(gamma).h - o.scores(0.0).h for o in world]) for world in fits]
    assert gain == pytest.approx(np.mean(gains))
    assert error == pytest.approx(np.std(gains, ddof=1) / 3**0.5)
    worlds = tuning_worlds(toy_dataset(), 3)
    by_seed = [Tuning(w, [[[o]] for o in outs]) for w, outs in zip(worlds, fits, strict=True)]
    choice = choose(CONFIGS[:1], by_seed, **ABOUT)
    assert choice.candidates[0].ausuc == pytest.approx(
        np.mean([o.curve.area for world in fits for o in world])
    )
    assert choice.worlds[0].scores.h == pytest.approx(np.mean([o.scores(gamma).h for o in fits[0]]))
