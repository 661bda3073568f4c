"""Damaged and doctored bundles: never a traceback, and nothing verified that labels contradict."""

import io
import json
import random
from itertools import pairwise

import numpy as np
import pytest

from zslbench.errors import ZslbenchError
from zslbench.store import Store, artifacts
from zslbench.studies.archive import pack
from zslbench.studies.bundles.contents import opened_bundle
from zslbench.studies.bundles.measure import verify_bundle
from zslbench.studies.bundles.merge import bring

STRANGE = (None, True, -1, 0, 1, 0.5, 1e308, float("nan"), float("inf"), 10**400, "", "x" * 300,
           "\x1b[2J", "../../x", "\ud800", [], {}, [[]], {"a": None})  # fmt: skip


def leaves(content, path=()):
    """Every place in a JSON document."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))


def doctored(content, rng):
    """A JSON document with one value changed a little, replaced or dropped."""
    document = json.loads(content)
    *way, last = rng.choice(list(leaves(document)))
    place = document
    for step in way:
        place = place[step]
    value = place[last]
    if rng.random() < 0.2 and isinstance(place, dict):
        del place[last]
    elif isinstance(value, float) and rng.random() < 0.6:
        place[last] = value * rng.choice((0.5, 0.99, 1.0001, 2)) + rng.choice((0, 1e-6, 0.1))
    elif isinstance(value, int) and rng.random() < 0.5:
        place[last] = value + rng.choice((-1, 1, 2))
    else:
        place[last] = rng.choice(STRANGE)
    return json.dumps(document, indent=1).encode()


def misstated(content, rng):
    """A run's record with another number in a rule, as a cheat would write it."""
    document = json.loads(content)
    scores = document["rules"][rng.choice(sorted(document["rules"]))]["scores"]
    scores[rng.choice(("t1", "u", "s", "h", "ausuc"))] += rng.choice((-1, 0.1, 5))
    return json.dumps(document, indent=1).encode()


def damaged(content, rng):
    """Bytes with some flipped, cut off, repeated, or shuffled."""
    found = bytearray(content)
    how = rng.randrange(4)
    if how == 0:
        for _ in range(rng.choice((1, 1, 8))):
            found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    elif how == 1:
        del found[rng.randrange(len(found)) :]
    elif how == 2:
        found += found[: rng.randrange(len(found))]
    else:
        at = rng.randrange(len(found) // 2)
        found[at : at + 40] = bytes(rng.sample(list(found[at : at + 40]), len(found[at : at + 40])))
    return bytes(found)


def rescored(content, rng):
    """Score summaries that are well-formed, and of other scores."""
    records = np.load(io.BytesIO(content))
    images, row = records["images"], rng.randrange(len(records))
    name = rng.choice(("seen_class", "unseen_class", *artifacts.ScoreSummary.ARRAYS))
    if rng.random() < 0.5:
        images[name][row] = np.roll(images[name][row], rng.randrange(1, 9))
    else:
        images[name][row, rng.randrange(images.shape[1])] *= rng.choice((0, -1, 2))
    out = io.BytesIO()
    np.save(out, records)
    return out.getvalue()


def mutated(members, rng):
    """Members with one to three changes."""
    members = dict(members)
    if rng.random() < 0.3:  # nothing is wrong with its form
        change, end = rng.choice(((misstated, "record.json"), (rescored, "summaries.npy")))
        name = rng.choice([n for n in sorted(members) if "/run-" in n and n.endswith(end)])
        return {**members, name: change(members[name], rng)}
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(sorted(members))
        how = rng.random()
        if how < 0.05 and len(members) > 1:
            del members[name]
        elif how < 0.1:
            members[name], other = members[rng.choice(sorted(members))], members[name]
            members[rng.choice(sorted(members))] = other
        elif len(members[name]) > 2:
            members[name] = changed(name, members[name], how, rng)
    return members


def changed(name, content, how, rng):
    """A member with a change that keeps its form, or, if it has lost that, with any."""
    try:
        if name.endswith("record.json") and how < 0.9:
            return doctored(content, rng)
        if name.endswith("summaries.npy") and how < 0.6:
            return rescored(content, rng)
    except Exception:
        return damaged(content, rng)
    return damaged(content, rng)


def by_hand(summary, gamma_raw):
    """U and S of the tiny dataset, class by class: an item's class is its number over 12.

    A gamma of minus infinity leaves seen classes alone, one of infinity unseen ones: U then is T1.
    """
    classes = range(12)
    hits = {c: [] for c in classes}
    test = [i for i in range(108) if i % 4 == 0] + list(range(108, 144))
    for place, item in enumerate(test):
        margin = float(summary.seen_score[place]) - float(summary.unseen_score[place])
        side = summary.seen_class if margin >= gamma_raw else summary.unseen_class
        hits[item // 12].append(side[place] == item // 12)
    rates = [100 * np.mean(hits[c]) for c in classes]
    return np.mean(rates[9:]), np.mean(rates[:9])


def area_by_hand(summary):
    """AUSUC in [0, 1]: trapezoids between the points of U and S at all gammas that change them."""
    margins = np.unique(summary.seen_score.astype(float) - summary.unseen_score.astype(float))
    points = [by_hand(summary, gamma) for gamma in (*margins, np.inf)]
    pairs = pairwise(points)
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairs) / 1e4


def survives(members, lab, folder, rng):
    """Verify and import mutated members; return how many runs were called verified."""
    path = folder / "bundle.tar.xz"
    pack(path, mutated(members, rng))
    if rng.random() < 0.1:
        path.write_bytes(damaged(path.read_bytes(), rng))
    try:
        with opened_bundle(path) as bundle:
            found = verify_bundle(bundle, lab.own)
            str(found)
            for run, verdict in zip(bundle.runs, found.verdicts, strict=True):
                if verdict.status == "verified":
                    check_by_hand(run)
            bring(bundle, found, lab.own, Store(folder / "into", uri=""))
    except ZslbenchError as refusal:
        assert "Traceback" not in str(refusal)
        return 0
    return len(found.of("verified"))


def check_by_hand(run):
    for rule in run.record.rules.values():
        summary = artifacts.read_summaries(run.folder)[rule.epoch]
        u, s = by_hand(summary, rule.gamma_raw)
        scores = rule.scores
        assert (scores.u, scores.s) == pytest.approx((u, s), abs=1e-6)
        assert scores.h == pytest.approx(2 * u * s / max(u + s, 1e-12), abs=1e-6)
        assert scores.t1 == pytest.approx(by_hand(summary, np.inf)[0], abs=1e-6)
        if rule.space == "logit":
            assert scores.ausuc == pytest.approx(area_by_hand(summary), abs=1e-6)


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("error")
def test_mutated_bundles_are_refused_or_judged(lab, tmp_path, count):
    rng = random.Random(count)
    verified = [survives(lab.members, lab, tmp_path, rng) for _ in range(count)]
    assert 0 < sum(verified) < 2 * count
