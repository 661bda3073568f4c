"""APN against loops over images, attributes, places and groups, in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from zslbench.arithmetic import tensor
from zslbench.method.conformance import FEW_BIRDS, toy_for
from zslbench.methods.apn import APN


@pytest.fixture(scope="module")
def train():
    return toy_for(APN, birds=FEW_BIRDS).train_set(APN)


def built(train, **settings):
    """The method set up with prototypes large enough to tell its terms apart, and four images."""
    model = APN(APN.Config(**settings), 0)
    model.setup(train)
    with torch.no_grad():
        for rows in model.network.prototypes.values():
            rows.mul_(200)
    return model, model.loaded(train.inputs[np.arange(4)]), torch.from_numpy(train.labels[:4])


def numbers(model, images):
    """Return the map, and the local and the global prototypes."""
    with torch.no_grad():
        found = model.network.backbone(images)
    rows = model.network.prototypes
    return [part.detach().double().numpy() for part in (found, rows["local"], rows["global"])]


def entropy(scores, label):
    raised = np.exp(scores - scores.max())
    return -np.log(raised[label] / raised.sum())


@pytest.mark.parametrize("softmax", ["once", "twice"])
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_cross_entropies_and_regressions_equal_loops(train, softmax, pooling):
    weights = {"regression_local": 3.0, "regression_global": 2.0}
    model, images, labels = built(train, softmax=softmax, pooling=pooling, **weights)
    found = model.losses(images, labels, tensor(train.class_attributes))
    maps, *parts = numbers(model, images)
    for part, rows in zip(("local", "global"), parts, strict=True):
        entropies, errors = [], []
        for image, label in zip(maps, labels.tolist(), strict=True):
            pool = np.mean if (part, pooling) == ("global", "mean") else np.max
            predicted = np.array([pool([row @ place for place in image]) for row in rows])
            scores = np.array([predicted @ a for a in train.class_attributes])
            if softmax == "twice":
                scores = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
            entropies.append(entropy(scores, label))
            errors.append(np.mean((predicted - train.class_attributes[label]) ** 2))
        regression = weights[f"regression_{part}"] * np.mean(errors)
        assert found[f"{part} classes"].item() == pytest.approx(np.mean(entropies), rel=1e-4)
        assert found[f"{part} regression"].item() == pytest.approx(regression, rel=1e-4)


def test_compactness_is_summed_over_images_and_attributes(train):
    model, images, labels = built(train, compactness=0.5)
    found = model.losses(images, labels, tensor(train.class_attributes))["compactness"].item()
    maps, rows, _ = numbers(model, images)
    total = 0.0
    for image in maps:
        for row in rows:
            seen = np.array([row @ place for place in image]).reshape(7, 7)
            peak = np.unravel_index(seen.argmax(), seen.shape)
            for place in np.ndindex(7, 7):
                distance = (place[0] - peak[0]) ** 2 + (place[1] - peak[1]) ** 2
                total += distance / (1 + np.exp(-seen[place]))
    assert found == pytest.approx(0.5 * total, rel=1e-4)


@pytest.mark.parametrize(("norms", "known"), [("groups", True), ("paper", True), ("groups", 0)])
def test_decorrelation_is_by_groups_or_of_all_attributes_together(train, norms, known):
    train = train if known else replace(train, attribute_groups=None)
    model, images, labels = built(train, norms=norms, decorrelation_local=0.5)
    found = model.losses(images, labels, tensor(train.class_attributes))
    _, rows, _ = numbers(model, images)
    groups = train.attribute_groups if known else np.zeros(len(rows))
    members = [rows[groups == g] for g in np.unique(groups)]
    whole = sum(np.sqrt((part**2).sum()) for part in members)
    channels = np.sum([np.sqrt((part[:, d] ** 2).sum()) for part in members
                        for d in range(rows.shape[1])])  # fmt: skip
    expected = 0.5 * (whole if norms == "groups" else channels)
    assert found["local decorrelation"].item() == pytest.approx(expected, rel=1e-4)


def test_global_attributes_score_and_local_maps_are_the_view(train):
    model, images, _ = built(train)
    maps, local, whole = numbers(model, images)
    table = tensor(train.class_attributes)
    with torch.no_grad():
        scores, (places, seen) = model.logits(images, table), model.look(images)
    expected = (maps @ whole.T).max(axis=1) @ train.class_attributes.T
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-4)
    np.testing.assert_allclose(seen.numpy(), maps @ local.T, rtol=1e-3, atol=1e-5)
    apart = [[np.std([row @ f for row in local], ddof=1) for f in image] for image in maps]
    np.testing.assert_allclose(places.numpy(), apart, rtol=1e-3, atol=1e-5)
