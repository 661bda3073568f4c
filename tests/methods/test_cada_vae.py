"""CADA-VAE: each term by a computation of its own, warm-ups, what is sampled, what is scored."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from zslbench.method import TrainSet
from zslbench.methods.cada_vae import CADAVAE
from zslbench.nn.gaussians import kl_to_standard, sample, wasserstein
from zslbench.seeding import generator

SEEN, UNSEEN, K, D = 5, 2, 6, 8
SMALL = {
    "latent": 3, "image_encoder": 16, "image_decoder": 12, "attribute_encoder": 10,
    "attribute_decoder": 9, "seen_samples": 7, "unseen_samples": 11, "epochs": 100,
}  # fmt: skip


def train_set(per_class=4):
    rng = generator(0, "cada-vae")
    table = rng.uniform(0, 1, (SEEN + UNSEEN, K))
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    labels = np.repeat(np.arange(SEEN), per_class)
    features = table[labels] @ rng.normal(size=(K, D)) + 0.05 * rng.normal(size=(len(labels), D))
    features[:, 3] = 2.5
    return TrainSet(features, labels, table[:SEEN], unseen_attributes=table[SEEN:])


def model_of(train=None, **settings):
    model = CADAVAE(CADAVAE.Config.parse(SMALL | settings, "cada_vae"), seed=0)
    model.setup(train or train_set())
    return model


def fitted(train, seed=0, **settings):
    model = CADAVAE(CADAVAE.Config.parse(SMALL | settings, "cada_vae"), seed=seed)
    return model, list(model.fit(CADAVAE.prepare(train, model.config)))


def batch(count=6):
    """Features, attributes of their classes."""
    train = train_set()
    items = np.arange(count)
    return (
        torch.from_numpy(train.inputs[items]).float(),
        torch.from_numpy(train.class_attributes[train.labels[items]]).float(),
    )


# ---------------------------------------------------------------- Gaussians

MEANS, DEVIATIONS = ((0.3, -1.2), (0.0, 0.7)), ((0.5, 1.4), (1.0, 0.2))
OTHER_MEANS, OTHER_DEVIATIONS = ((0.1, 0.4), (-0.9, 0.7)), ((0.8, 0.3), (1.5, 0.2))


def gaussian(means, deviations):
    return torch.tensor(means), 2 * torch.tensor(deviations).log()


def test_kl_equals_its_integral():
    total = 0.0
    for mean, deviation in zip(np.ravel(MEANS), np.ravel(DEVIATIONS), strict=True):
        p, q = norm(mean, deviation), norm()
        total += quad(lambda x, p=p, q=q: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -12, 12)[0]
    found = kl_to_standard(gaussian(MEANS, DEVIATIONS))
    assert float(found) == pytest.approx(total / 2, rel=1e-5)


def test_wasserstein_equals_the_transport_of_quantiles():
    """In one dimension the plan is monotone, and dimensions are independent."""
    distances = []
    for item in range(2):
        squares = 0.0
        for d in range(2):
            p = norm(MEANS[item][d], DEVIATIONS[item][d])
            q = norm(OTHER_MEANS[item][d], OTHER_DEVIATIONS[item][d])
            squares += quad(lambda u, p=p, q=q: (p.ppf(u) - q.ppf(u)) ** 2, 0, 1)[0]
        distances.append(squares**0.5)
    found = wasserstein(gaussian(MEANS, DEVIATIONS), gaussian(OTHER_MEANS, OTHER_DEVIATIONS))
    assert float(found) == pytest.approx(np.mean(distances), rel=1e-5)


def test_wasserstein_of_equal_gaussians_has_a_finite_gradient():
    mean, log_variance = (part.requires_grad_() for part in gaussian(MEANS, DEVIATIONS))
    wasserstein((mean, log_variance), gaussian(MEANS, DEVIATIONS)).backward()
    assert mean.grad.isfinite().all() and log_variance.grad.isfinite().all()


def test_paper_samples_have_the_mean_and_deviation_of_each_dimension():
    torch.manual_seed(0)
    code = [part[:1].expand(40_000, -1) for part in gaussian(MEANS, DEVIATIONS)]
    drawn = sample(tuple(code), "paper").numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), MEANS[0], atol=0.03)
    np.testing.assert_allclose(drawn.std(axis=0), DEVIATIONS[0], rtol=0.03)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


def test_released_samples_move_all_dimensions_by_one_number_times_the_variance():
    torch.manual_seed(0)
    code = [part[:1].expand(40_000, -1) for part in gaussian(MEANS, DEVIATIONS)]
    drawn = sample(tuple(code), "released").numpy()
    np.testing.assert_allclose(drawn.std(axis=0), np.square(DEVIATIONS[0]), rtol=0.03)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(1.0)


# ---------------------------------------------------------------- losses


def layer(module, rows):
    return rows @ module.weight.double().numpy().T + module.bias.double().numpy()


def coded(vae, rows):
    hidden = np.maximum(layer(vae.hidden[0], rows), 0)
    return layer(vae.mean, hidden), layer(vae.log_variance, hidden)


def decoded(vae, rows):
    return layer(vae.decode[2], np.maximum(layer(vae.decode[0], rows), 0))


@pytest.mark.parametrize("sampling", ["paper", "released"])
def test_losses_equal_a_computation_in_numpy(sampling):
    model, (x, a) = model_of(sampling=sampling), batch()
    images, classes = model.network.images, model.network.attributes
    torch.manual_seed(5)
    with torch.no_grad():
        found = model.losses(x, a, epoch=99)
        torch.manual_seed(5)
        noises = [torch.randn(6, 3 if sampling == "paper" else 1).numpy() for _ in range(2)]
        x, a = x.double().numpy(), a.double().numpy()
        codes = coded(images, x), coded(classes, a)
        power = 0.5 if sampling == "paper" else 1.0
        z_x, z_a = (m + np.exp(power * v) * n for (m, v), n in zip(codes, noises, strict=True))
        pairs = {
            "reconstruction": (decoded(images, z_x), decoded(classes, z_a)),
            "cross": (decoded(images, z_a), decoded(classes, z_x)),
        }
    weights = {"reconstruction": 1.0, "cross": 2.37}
    for name, (of_x, of_a) in pairs.items():
        by_item = [
            2048 / D * np.abs(of_x[i] - x[i]).sum() + np.abs(of_a[i] - a[i]).sum() for i in range(6)
        ]
        assert float(found[name]) == pytest.approx(weights[name] * np.mean(by_item), rel=1e-4)
    (m_x, v_x), (m_a, v_a) = codes
    kl = sum(np.sum(m**2 + np.exp(v) - 1 - v) / 2 for m, v in codes) / 6
    assert float(found["kl"]) == pytest.approx(0.25 * kl, rel=1e-4)
    squares = (m_x - m_a) ** 2 + (np.exp(v_x / 2) - np.exp(v_a / 2)) ** 2
    apart = np.mean(np.sqrt(squares.sum(axis=1)))
    assert float(found["distance"]) == pytest.approx(8.13 * apart, rel=1e-4)


@pytest.mark.parametrize(
    ("term", "epochs"),
    [
        ("reconstruction", {0: 1, 50: 1}),
        ("kl", {0: 0, 31: 1 / 3, 62: 2 / 3, 93: 1, 99: 1}),
        ("cross", {0: 0, 21: 0, 48: 0.5, 75: 1, 99: 1}),
        ("distance", {0: 0, 6: 0, 10: 0.25, 22: 1, 99: 1}),
    ],
)
@pytest.mark.parametrize("length", [100, 200])
def test_warm_ups_rise_between_their_epochs(term, epochs, length):
    """Given for a schedule of 100; a longer one stretches them."""
    model, (x, a) = model_of(epochs=length), batch()

    def value(epoch):
        torch.manual_seed(0)
        return float(model.losses(x, a, epoch)[term].detach())

    for epoch, factor in epochs.items():
        assert value(epoch * length // 100) == pytest.approx(factor * value(length - 1), abs=1e-6)


def test_warm_ups_are_told_the_epoch_at_hand(monkeypatch):
    losses, seen = CADAVAE.losses, []

    def seeing(self, features, attributes, epoch):
        seen.append(epoch)
        return losses(self, features, attributes, epoch)

    monkeypatch.setattr(CADAVAE, "losses", seeing)
    fitted(train_set(), epochs=3, batch_size=10)
    assert seen == [0, 0, 1, 1, 2, 2]


def test_weights_scale_their_terms_and_no_other():
    (x, a), values = batch(), {}
    for name in ("none", "beta", "lambda_cross", "lambda_distance"):
        weights = {
            key: 2.0 if key == name else 1.0 for key in ("beta", "lambda_cross", "lambda_distance")
        }
        torch.manual_seed(0)
        terms = model_of(**weights).losses(x, a, 99)
        values[name] = {term: float(value.detach()) for term, value in terms.items()}
    for name, term in (("beta", "kl"), ("lambda_cross", "cross"), ("lambda_distance", "distance")):
        for other, value in values["none"].items():
            factor = 2 if other == term else 1
            assert values[name][other] == pytest.approx(factor * value), (name, other)


@pytest.mark.parametrize(
    ("term", "reached"),
    [
        ("reconstruction", {"images.decode.2.weight", "attributes.decode.2.weight"}),
        ("cross", {"images.decode.2.weight", "attributes.decode.2.weight"}),
        ("kl", set()),
        ("distance", set()),
    ],
)
def test_gradients_reach_both_encoders_and_what_decodes(term, reached):
    model, (x, a) = model_of(), batch()
    model.losses(x, a, 99)[term].backward()
    found = {n for n, p in model.network.named_parameters() if p.grad is not None and p.grad.any()}
    encoders = {f"{of}.{part}" for of in ("images", "attributes") for part in (
        "hidden.0.weight", "mean.weight", "log_variance.weight")}  # fmt: skip
    assert encoders | reached <= found
    assert {name for name in found if "decode" in name and "2.weight" in name} == reached
    assert not any("classifier" in name for name in found)


# ---------------------------------------------------------------- what the classifier learns from


def test_latents_are_of_seen_features_and_of_unseen_attributes():
    """Without noise a sample is its mean: each must be one of its class's own."""
    train, model = train_set(), model_of()
    model.network.fit_scale(train.inputs)
    scaled = model.network.scaled(train.inputs)
    for vae in (model.network.images, model.network.attributes):
        torch.nn.init.zeros_(vae.log_variance.weight)
        torch.nn.init.constant_(vae.log_variance.bias, -60.0)
    latents, labels = model.examples(train)
    assert np.bincount(labels).tolist() == [7] * SEEN + [11] * UNSEEN
    with torch.no_grad():
        of_features = model.network.images.encode(scaled)[0].numpy()
        of_unseen = model.network.attributes.encode(
            torch.from_numpy(train.unseen_attributes).float()
        )[0].numpy()
    for latent, label in zip(latents.numpy(), labels.tolist(), strict=True):
        if label < SEEN:
            near = np.abs(of_features - latent).max(axis=1) < 1e-5
            assert label in train.labels[near]
        else:
            np.testing.assert_allclose(latent, of_unseen[label - SEEN], atol=1e-5)


@pytest.mark.parametrize(("samples", "used"), [(3, 3), (4, 4), (10, 4)])
def test_features_of_a_class_are_repeated_only_where_they_are_too_few(samples, used):
    train, model = train_set(per_class=4), model_of(seen_samples=samples)
    torch.nn.init.constant_(model.network.images.log_variance.bias, -60.0)
    torch.nn.init.zeros_(model.network.images.log_variance.weight)
    model.network.fit_scale(train.inputs)
    latents, labels = model.examples(train)
    for c in range(SEEN):
        rows = latents[labels == c].numpy().round(5)
        assert len(rows) == samples and len(np.unique(rows, axis=0)) == used


def test_features_are_scaled_by_the_range_of_training_alone():
    train, model = train_set(), model_of()
    model.network.fit_scale(train.inputs)
    scaled = model.network.scaled(train.inputs).numpy()
    varying = np.arange(D) != 3
    np.testing.assert_allclose(scaled[:, varying].min(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled[:, varying].max(axis=0), 1, atol=1e-6)
    assert (scaled[:, 3] == 0).all()
    test = train.inputs[:2] * 3
    low, high = train.inputs.min(axis=0), train.inputs.max(axis=0)
    expected = (test - low) / np.where(high > low, high - low, 1)
    np.testing.assert_allclose(model.network.scaled(test).numpy(), expected, rtol=1e-4)


def test_unseen_attributes_are_declared_and_needed():
    assert CADAVAE.needs == {"features", "unseen_attributes"}
    train = train_set()
    with pytest.raises(ValueError, match="unseen classes"):
        model_of(TrainSet(train.inputs, train.labels, train.class_attributes))


# ---------------------------------------------------------------- fit and scores


def test_fit_yields_one_epoch_with_every_term():
    _, epochs = fitted(train_set(), epochs=3)
    assert [epoch.number for epoch in epochs] == [1] == [CADAVAE.epochs(CADAVAE.Config())]
    terms = {"reconstruction", "kl", "cross", "distance", "classifier"}
    assert epochs[0].losses.keys() == terms
    assert np.isfinite(list(epochs[0].losses.values())).all()


def test_seeds_decide_all_chance_and_the_callers_generator_is_left_alone():
    train = train_set()
    before = torch.get_rng_state()
    one, _ = fitted(train, seed=1, epochs=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    again, _ = fitted(train, seed=1, epochs=3)
    other, _ = fitted(train, seed=2, epochs=3)
    for name, value in one.state().items():
        np.testing.assert_array_equal(again.state()[name], value, err_msg=name)
    assert not np.array_equal(one.state()["classifier.weight"], other.state()["classifier.weight"])


def test_seen_classes_are_told_apart_in_the_latent_space():
    train = train_set(per_class=20)
    settings = {"latent": 8, "lr": 3e-3, "seen_samples": 40, "unseen_samples": 40}
    model, _ = fitted(train, **settings, classifier_lr=0.02)
    found = model.scores(train.inputs, train.class_attributes).argmax(axis=1)
    assert np.mean(found == train.labels) > 0.9


def test_scores_are_the_classifier_at_the_latent_mean():
    train = train_set()
    model, _ = fitted(train, epochs=2)
    everything = np.concatenate([train.class_attributes, train.unseen_attributes])
    scaled = model.network.scaled(train.inputs).double().numpy()
    with torch.no_grad():
        expected = layer(model.network.classifier, coded(model.network.images, scaled)[0])
    found = model.scores(train.inputs, everything)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    seen_alone = model.scores(train.inputs, train.class_attributes)
    np.testing.assert_array_equal(seen_alone, found[:, :SEEN])


@pytest.mark.parametrize("change", ["order", "values", "more"])
def test_scores_of_classes_it_has_not_learnt_are_refused(change):
    train, model = train_set(), model_of()
    everything = np.concatenate([train.class_attributes, train.unseen_attributes])
    rows = {
        "order": everything[::-1], "values": everything + 1e-9,
        "more": np.concatenate([everything, everything[:1]]),
    }[change]  # fmt: skip
    with pytest.raises(ValueError, match="has learnt"):
        model.scores(train.inputs, rows)


def test_published_rule_is_the_last_epoch_uncalibrated():
    rule = CADAVAE.published
    assert (rule.epoch, rule.gamma, rule.average) == ("last", 0.0, "class")
