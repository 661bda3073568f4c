"""DAP: Lampert, Nickisch and Harmeling, "Learning to detect unseen object classes by between-class
attribute transfer", CVPR 2009, and "Attribute-based classification for zero-shot visual object
categorization", TPAMI 2014.

| point | paper | public ports | here |
|---|---|---|---|
| binary attributes | table above its mean | the same, or as shipped | `threshold`, of seen rows |
| form of the table | as annotated | same | `class_attributes`, default raw |
| p(a_k given x) | kernel SVM and a sigmoid | SVM, network | logistic regression |
| its regulariser | cross-validation over items | fixed | `reg`, tuning worlds; intercept free |
| features | several, histogram kernels | as they come | `features`, default unit rows |
| prior p(a_k) | mean over training classes, or 1/2 | mean; 1/2 where it is 0 or 1 | `prior`: mean |
| attribute constant on seen classes | not discussed | trained on one class | left out of scores |
| prior over classes | uniform | uniform | uniform |
| calibration | none | none | `published` has none; `validation` chooses it |
"""  # noqa: D205

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from zslbench.method import (
    AttributeForm,
    ClosedFormMethod,
    Float,
    MethodConfig,
    PublishedRule,
    TrainSet,
)
from zslbench.method.settings import option, tuned

from ._features import Form, diagonalise, rows_of, training_rows

GRID = tuple(10.0**power for power in range(-2, 3))
STEPS, TOLERANCE = 500, 1e-9


@dataclass(frozen=True)
class Problem:
    """What all regularisers share.

    Attributes:
        items: `[n, r + 1]` centred features in the eigenbasis of their Gram matrix, and ones.
        values: `[r + 1]` squared norms of these columns, which are orthogonal.
        mean: `[d]` of the features.
        basis: `[d, r]` the eigenbasis.
        threshold: `[K]`, above which an attribute counts as present.
        targets: `[n, K]` in {0, 1}.
        by_class: `[Cs, K]` the same, one row a class.
    """

    items: Float
    values: Float
    mean: Float
    basis: Float
    threshold: Float
    targets: Float
    by_class: Float


class DAP(ClosedFormMethod):
    """log p(z given x) = sum over k of log p(a_k = z_k given x) - log p(z_k), up to a constant."""

    class Config(MethodConfig):
        """Config of DAP."""

        class_attributes: AttributeForm = option(
            "raw", "a", "form of the class attributes that are binarised"
        )
        reg: float | None = tuned("1 / C", "ridge of the attribute classifiers", 1e-4, 1e6, GRID)
        threshold: Literal["matrix", "attribute"] = option(
            "matrix", "a_k", "mean above which an attribute is present: of all, of each"
        )
        prior: Literal["class_mean", "half"] = option(
            "class_mean", "p(a_k)", "share of seen classes that have it, or 1/2"
        )
        features: Form = option("l2", "x", "rows L2-normalised, or as they come")

    published = PublishedRule(gamma=0.0, source="no calibration in paper or ports")
    learnt = ("weights", "intercepts", "threshold", "prior")
    weights: Float
    intercepts: Float
    threshold: Float
    prior: Float

    @classmethod
    def prepare(cls, train: TrainSet, config: Any) -> Problem:
        """Centre and rotate the features, so that curvature bounds are diagonal; binarise."""
        form, count, width = config.features, len(train.labels), train.inputs[:1].shape[1]
        totals = (rows.sum(axis=0) for _, rows in training_rows(train, form))
        mean = sum(totals, np.zeros(width)) / count
        grams = (rows.T @ rows for _, rows in _centred(train, form, mean))
        values, basis = diagonalise(sum(grams, np.zeros((width, width))))
        items = np.ones((count, len(values) + 1))
        for where, rows in _centred(train, form, mean):
            items[where, :-1] = rows @ basis
        table = train.class_attributes.astype(np.float64)
        whole = config.threshold == "matrix"
        threshold = np.full(table.shape[1], table.mean()) if whole else table.mean(axis=0)
        by_class = (table > threshold).astype(np.float64)
        targets, values = by_class[train.labels], np.append(values, count)
        return Problem(items, values, mean, basis, threshold, targets, by_class)

    def solve(self, prepared: Problem) -> None:
        """Fit all attribute classifiers at once; take the prior over classes."""
        varies = np.ptp(prepared.by_class, axis=0) > 0
        found = np.zeros((prepared.items.shape[1], len(varies)))
        targets = prepared.targets[:, varies]
        found[:, varies] = logistic(prepared.items, prepared.values, targets, self.config.reg)
        self.weights = prepared.basis @ found[:-1]
        self.intercepts = found[-1] - prepared.mean @ self.weights
        self.threshold = prepared.threshold
        known = varies & (self.config.prior == "class_mean")
        self.prior = np.where(known, prepared.by_class.mean(axis=0), 0.5)

    def scores(self, batch: NDArray[Any], class_attributes: Float) -> Float:
        """Return log posteriors, short of the term that all classes share."""
        logits = rows_of(batch, self.config.features) @ self.weights + self.intercepts
        present = (class_attributes > self.threshold).astype(np.float64)
        evidence = np.logaddexp(0, logits).sum(axis=1, keepdims=True)
        prior = present @ np.log(self.prior) + (1 - present) @ np.log1p(-self.prior)
        scores: Float = logits @ present.T - evidence - prior
        return scores


def _centred(train: TrainSet, form: Form, mean: Float) -> Iterator[tuple[slice, Float]]:
    for where, rows in training_rows(train, form):
        yield where, rows - mean


def logistic(items: Float, values: Float, targets: Float, reg: float) -> Float:
    """Fit K logistic regressions with a ridge on all coefficients but the last.

    A logistic loss curves by at most a quarter (Böhning and Lindsay 1988), which in orthogonal
    columns bounds the Hessian by a diagonal; Nesterov's method under that bound needs no step
    size. Each regression restarts its momentum by itself (O'Donoghue and Candès 2015).

    Args:
        items: `[n, m]` with orthogonal columns.
        values: `[m]` their squared norms.
        targets: `[n, K]` in {0, 1}.
        reg: The ridge, against the sum of losses over items.

    Returns:
        `[m, K]` coefficients, exact to about 1e-3 of their size, or as far as 500 steps come.
    """
    ridge = np.append(np.full(len(values) - 1, reg), 0.0)[:, None]
    curvature = values[:, None] / 4 + ridge
    now = ahead = np.zeros((len(values), targets.shape[1]))
    pace = np.ones(targets.shape[1])
    for _ in range(STEPS):
        gradient = items.T @ (expit(items @ ahead) - targets) + ridge * ahead
        step = gradient / curvature
        if (gradient * step).sum(axis=0).max(initial=0.0) <= TOLERANCE * len(items):
            break
        move = ahead - step - now
        uphill = (gradient * move).sum(axis=0) > 0
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        now = now + move
        ahead = now + np.where(uphill, 0.0, (pace - 1) / faster) * move
        pace = np.where(uphill, 1.0, faster)
    return ahead
