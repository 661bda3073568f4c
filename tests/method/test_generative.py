"""The base of generators: its schedule, what its classifier learns from, where a fit goes on."""

import json

import numpy as np
import pytest
import torch

from zslbench.method import TrainSet
from zslbench.method.registry import load_method
from zslbench.methods.ce_gzsl import CEGZSL
from zslbench.methods.f_clswgan import FCLSWGAN
from zslbench.methods.free import FREE
from zslbench.methods.hsva import HSVA
from zslbench.methods.sdgzsl import SDGZSL
from zslbench.methods.tf_vaegan import TFVAEGAN
from zslbench.seeding import generator
from zslbench.store import Store
from zslbench.store.checkpoints import Progress, Slot
from zslbench.studies.leaderboard.plan.tune import tuning_space

SEEN, UNSEEN, K, D = 5, 2, 6, 8
SMALL = {
    "epochs": 3, "steps": 4, "batch_size": 8, "hidden": 16, "syn_num": 3, "classifier_epochs": 1,
    "classifier_batch": 8,
}  # fmt: skip
METHODS = {cls.__name__: cls for cls in (FCLSWGAN, TFVAEGAN, FREE)}
ALL = METHODS | {cls.__name__: cls for cls in (CEGZSL, SDGZSL, HSVA)}


def train_set(per_class=4):
    rng = generator(0, "generators")
    table = rng.uniform(0, 1, (SEEN + UNSEEN, K))
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    labels = np.repeat(np.arange(SEEN), per_class)
    features = table[labels] @ rng.normal(size=(K, D)) + 0.05 * rng.normal(size=(len(labels), D))
    return TrainSet(features, labels, table[:SEEN], unseen_attributes=table[SEEN:])


def fitted(cls, train, seed=0, **settings):
    model = cls(cls.Config.model_validate(SMALL | settings), seed)
    return model, list(model.fit(train))


def assert_same(one, other):
    for name, value in one.state().items():
        np.testing.assert_array_equal(other.state()[name], value, err_msg=name)


@pytest.mark.parametrize("cls", ALL.values(), ids=ALL)
def test_fit_resumed_from_a_checkpoint_gives_the_same_bits(cls, tmp_path):
    """Generator, critic, optimisers and the weight of the penalty go on where they were."""
    train = train_set()
    whole, epochs = fitted(cls, train)
    first, slot = cls(whole.config, 0), Slot(tmp_path / "slot")
    for epoch in first.fit(train):
        slot.save(epoch.number, first.checkpoint(), Progress())
        if epoch.number == 2:
            break
    resumed = cls(whole.config, 0)
    assert [epoch.losses for epoch in resumed.fit(train, slot.load()[0])] == [epochs[2].losses]
    assert_same(whole, resumed)


def test_each_epoch_of_each_classifier_is_one_of_the_fit(tmp_path):
    """What the generator lost is told with each; a checkpoint is at the end of a classifier."""
    train, found = train_set(), []
    model = FCLSWGAN(FCLSWGAN.Config.model_validate(SMALL | {"classifier_epochs": 3}), 0)
    assert (model.epochs(model.config), model.passes(model.config)) == (9, 3)
    for epoch in model.fit(train):
        scores = model.scores(train.inputs, train.class_attributes)
        found.append((epoch, model.checkpoint(), scores))
    epochs, kept, scores = zip(*found, strict=True)
    assert [epoch.number for epoch in epochs] == [*range(1, 10)]
    assert [number for number, state in enumerate(kept, 1) if state] == [3, 6, 9]
    assert len({epoch.losses["generator"] for epoch in epochs}) == 3
    assert len({epoch.losses["classifier"] for epoch in epochs}) == 9
    assert len({score.tobytes() for score in scores}) == 9


def test_a_fit_killed_amid_a_classifier_resumes_at_the_end_of_the_one_before(tmp_path):
    train, slot = train_set(), Slot(tmp_path / "slot")
    whole, epochs = fitted(FCLSWGAN, train, classifier_epochs=3)
    for epoch in (first := FCLSWGAN(whole.config, 0)).fit(train):
        slot.save(epoch.number, first.checkpoint(), Progress())
        if epoch.number == 5:
            break
    resumed = FCLSWGAN(whole.config, 0)
    assert [*resumed.fit(train, slot.load()[0])] == epochs[3:]
    assert_same(whole, resumed)


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
def test_seeds_decide_all_chance_and_the_callers_generator_is_left_alone(cls):
    train, before = train_set(), torch.get_rng_state()
    one, _ = fitted(cls, train, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert_same(one, fitted(cls, train, seed=1)[0])
    other, _ = fitted(cls, train, seed=2)
    assert not np.array_equal(one.state()["generator.hidden.weight"],
                              other.state()["generator.hidden.weight"])  # fmt: skip


@pytest.mark.parametrize("per_class", [1, 4, 20])
def test_a_schedule_counts_steps_however_much_there_is_to_learn_from(per_class, monkeypatch):
    numbers, usual = [], FCLSWGAN.step

    def step(self, draw, number):
        numbers.append(number)
        sizes = {len(part) for part in draw()}
        assert sizes == {min(8, SEEN * per_class)}
        return usual(self, draw, number)

    monkeypatch.setattr(FCLSWGAN, "step", step)
    _, epochs = fitted(FCLSWGAN, train_set(per_class))
    assert numbers == list(range(12)) and [epoch.number for epoch in epochs] == [1, 2, 3]


def test_a_batch_is_of_different_items_with_the_attributes_of_their_classes(monkeypatch):
    train, drawn, usual = train_set(), [], FCLSWGAN.step

    def step(self, draw, number):
        drawn.extend([draw(), draw()])
        return usual(self, draw, number)

    monkeypatch.setattr(FCLSWGAN, "step", step)
    model, _ = fitted(FCLSWGAN, train, epochs=1)
    scaled = model.network.scaled(train.inputs)
    for batch in drawn:
        near = torch.cdist(batch.features, scaled).argmin(dim=1).numpy()
        assert len(set(near)) == len(near)
        np.testing.assert_array_equal(batch.labels.numpy(), train.labels[near])
        own = train.class_attributes[batch.labels.numpy()]
        np.testing.assert_allclose(batch.attributes, own, rtol=1e-6)
    assert not torch.equal(drawn[0].features, drawn[1].features)


@pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
def test_the_classifier_learns_from_all_real_features_and_a_number_of_synthetic_ones(cls):
    train = train_set()
    model, _ = fitted(cls, train, syn_num=5)
    rows, labels = model.examples(train)
    assert np.bincount(labels).tolist() == [4] * SEEN + [5] * UNSEEN
    scaled = model.network.scaled(train.inputs)
    with torch.no_grad():
        torch.testing.assert_close(rows[: len(scaled)], model.represent(scaled))
        made = rows[len(scaled) :]
        torch.testing.assert_close(made, model.represent(made[:, :D]))
    assert len(np.unique(made.numpy().round(6), axis=0)) == 5 * UNSEEN


def test_each_epoch_trains_a_classifier_from_the_same_first_weights(monkeypatch):
    first, usual = [], FCLSWGAN.classifier_passes

    def classifier_passes(self, layer, rows, labels, purpose, **schedule):
        if purpose == "classifier":
            first.append(layer.weight.detach().clone())
        return usual(self, layer, rows, labels, purpose, **schedule)

    monkeypatch.setattr(FCLSWGAN, "classifier_passes", classifier_passes)
    model, _ = fitted(FCLSWGAN, train_set())
    assert len(first) == 3 and all(torch.equal(first[0], other) for other in first)
    assert not torch.equal(first[0], model.network.classifier.weight)


@pytest.mark.parametrize("cls", ALL.values(), ids=ALL)
def test_scores_are_the_classifiers_and_other_classes_are_refused(cls):
    train = train_set()
    model, _ = fitted(cls, train)
    everything = np.concatenate([train.class_attributes, train.unseen_attributes])
    found = model.scores(train.inputs, everything)
    with torch.no_grad():
        rows = model.represent(model.network.scaled(train.inputs))
        np.testing.assert_allclose(found, model.network.classifier(rows), rtol=1e-5, atol=1e-6)
    seen_alone = model.scores(train.inputs, train.class_attributes)
    np.testing.assert_array_equal(seen_alone, found[:, :SEEN])
    with pytest.raises(ValueError, match="has learnt"):
        model.scores(train.inputs, everything[::-1])


def test_descending_gives_gradients_to_what_is_named_alone():
    train, model = train_set(), FCLSWGAN(FCLSWGAN.Config.model_validate(SMALL), 0)
    model.setup(train)
    model.optimisers = model.make_optimisers()
    attributes = torch.rand(4, K)
    terms = model.generator_losses(attributes, torch.tensor([0, 1, 2, 3]))
    model.descend(terms["generator"] + terms["class"], "generator")
    moved = {n.split(".")[0] for n, p in model.network.named_parameters() if p.grad is not None}
    assert moved == {"generator"}


def test_losses_that_are_not_finite_end_a_fit():
    train = train_set()
    train.inputs[3, 2] = np.inf
    with pytest.raises(FloatingPointError, match="losses of epoch 1"), np.errstate(all="ignore"):
        fitted(FCLSWGAN, train, preclassifier_epochs=1)


@pytest.mark.parametrize("name", ["f_clswgan", "tf_vaegan", "free", "ce_gzsl", "sdgzsl", "hsva"])
def test_presets_hold_settings_and_other_settings_win(name):
    config = load_method(name).Config
    for preset, values in config.presets.items():
        whole = config.parse({"preset": preset}, name)
        assert whole.hidden == (2048 if name == "sdgzsl" else 4096)
        assert whole.classifier_batch == (32 if name == "hsva" else whole.syn_num)
        assert whole == config.parse(values, name)
        assert config.parse({"syn_num": "7", "preset": preset}, name).syn_num == 7


@pytest.mark.parametrize(
    ("method", "said"),
    [("tf_vaegan", "no preset of tf_vaegan 'CUBS'. Did you mean 'CUB'"), ("eszsl", "'preset'")],
)
def test_a_preset_that_there_is_not_is_refused(zslbench, tiny_root, method, said):
    words = ("run", method, "--dataset", "tiny", "--data-root", tiny_root)
    status, _, err = zslbench(*words, "--set", "preset=CUBS")
    assert status == 2 and said in " ".join(err.split())


def test_a_preset_is_listed_and_records_hold_its_settings(zslbench, tiny_root, tmp_path):
    presets = json.loads(zslbench("methods", "free", "--json")[1])["free"]["presets"]
    assert presets["SUN"]["margin"] == 120 and set(presets) == {"AWA1", "AWA2", "CUB", "FLO", "SUN"}
    few = {"epochs": 1, "steps": 1, "hidden": 4, "syn_num": 2}
    status, _, err = zslbench(
        "run", "free", "--dataset", "tiny", "--data-root", tiny_root, "--results", tmp_path,
        "--worlds", 1, "--seeds", 0, "--set", "preset=SUN",
        *(word for name, value in few.items() for word in ("--set", f"{name}={value}")),
    )  # fmt: skip
    assert status == 0, err
    (run,) = Store(tmp_path).runs()
    assert run.record.spec.config.items() >= {"margin": 120.0, "recons": 0.1, **few}.items()
    assert "preset" not in run.record.spec.config


@pytest.mark.parametrize("cls", ALL.values(), ids=ALL)
def test_the_number_of_synthetic_features_is_searched(cls):
    assert "syn_num" in {parameter.name for parameter in tuning_space(cls)}
