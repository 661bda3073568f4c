"""Simulated test sets whose classes, images and seeds have random effects, and their measurement.

A latent *quality* decides whether the best class of an image's own side is its true one, a latent
*lean* by how much its own side is preferred. Both are normal: sums of effects of the class, of a
pose within it, of the image, of the seed, of seed by class, and of seed by image.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal
from scipy.stats import norm as normal

from zslbench.metrics import Outcome


@dataclass(frozen=True)
class Effects:
    """Means and variances of a latent; variances sum to 1, what is left is seed by image.

    Attributes:
        seen: Mean over seen classes.
        unseen: Mean over unseen classes.
    """

    seen: float
    unseen: float
    classes: float
    images: float
    seeds: float = 0.0
    seeds_by_classes: float = 0.0
    poses: float = 0.0

    @property
    def rest(self):
        """Variance of seed by image."""
        named = self.classes + self.images + self.seeds + self.seeds_by_classes + self.poses
        return max(0.0, 1 - named)


@dataclass(frozen=True)
class World:
    """A test set to be drawn again and again, answers being read at gamma = 0.

    Attributes:
        images: Of each seen class, and of each unseen one.
        poses: How many a class has.
        bursts: Whether poses are drawn with the images, as several photos of one bird are, and not
            with the class, as sitting and flying are.
    """

    seen: int
    unseen: int
    images: tuple[int, int]
    quality: Effects
    lean: Effects
    seeds: int = 3
    poses: int = 1
    bursts: bool = False

    @property
    def side(self):
        """-1 for seen classes, 1 for unseen ones."""
        return np.repeat([-1.0, 1.0], [self.seen, self.unseen])

    @property
    def latents(self):
        return self.quality, self.lean

    def draw(self, rng):
        """Draw classes, images and seeds: the metrics of these classes, and an outcome per seed."""
        return self.rivals(rng, 1)[0]

    def rivals(self, rng, methods, alike=(1.0, 1.0), gain=0.0):
        """Return what `draw` does for several methods on the same classes and images.

        Args:
            rng: Where all is drawn from.
            methods: How many.
            alike: Shares of the classes' and of the images' variance that all have in common.
            gain: What the first has in quality beyond the others.
        """
        counts = np.repeat(self.images, [self.seen, self.unseen])
        labels = np.repeat(np.arange(len(counts)), counts)
        pose = np.concatenate([np.arange(count) % self.poses for count in counts])
        latents = []
        for latent in self.latents:
            classes = _partly_shared(rng, methods, (len(counts), 1), latent.classes, alike[0])
            shape = len(counts), self.poses
            poses = _partly_shared(rng, methods, shape, latent.poses, alike[0])
            images = _partly_shared(rng, methods, len(labels), latent.images, alike[1])
            means = np.where(self.side < 0, latent.seen, latent.unseen)[:, None]
            drawn = (means + classes + poses)[:, labels, pose] + images
            latents.append((means + classes + (0 if self.bursts else poses), drawn))
        latents[0][0][0] += gain
        latents[0][1][0] += gain
        return [
            (self.of_these_classes([known[m] for known, _ in latents]),
             [self._answers(rng, labels, [drawn[m] for _, drawn in latents])
              for _ in range(self.seeds)])
            for m in range(methods)
        ]  # fmt: skip

    def _answers(self, rng, labels, drawn):
        """Draw a seed: it makes all classes easier or harder, and moves answers between sides."""
        quality, lean = (
            at
            + (sign * rng.normal(0, e.seeds**0.5))[labels]
            + rng.normal(0, e.seeds_by_classes**0.5, len(self.side))[labels]
            + rng.normal(0, e.rest**0.5, len(labels))
            for at, e, sign in zip(drawn, self.latents, (self.side**2, self.side), strict=True)
        )
        return outcome_of(labels, self.seen, quality > 0, -self.side[labels] * lean)

    def of_these_classes(self, known):
        """Return the metrics over all images and seeds, quality and lean `[classes, poses]` given.

        H is that of a seed's U and S, its mean over seeds; that these differ by seed by class, and
        not by seed alone, is left out of H's curvature: 0.1 points with 7 classes.
        """
        left = [1 - e.seeds - e.classes - (not self.bursts) * e.poses for e in self.latents]
        unseen, seen = slice(self.seen, None), slice(None, self.seen)
        right = _at_nodes(known[0] + 0 * self.side[:, None], self.quality, left[0])
        won = _at_nodes(known[1], self.lean, left[1], self.side[:, None])
        ahead = normal.cdf(
            (known[1][seen].reshape(-1, 1) + known[1][unseen].ravel()) / (2 * left[1]) ** 0.5
        )
        return _metrics(
            right[:, unseen].mean(axis=(1, 2)),
            _mean_product(right[:, unseen], won[:, unseen]),
            _mean_product(right[:, seen], won[:, seen]),
            [r[seen].ravel() @ ahead @ r[unseen].ravel() / ahead.size for r in right],
        )

    def of_new_classes(self):
        """Return the metrics over all classes, images and seeds."""
        left = [1 - e.seeds for e in self.latents]
        means = (np.array([e.seen, e.unseen]) for e in self.latents)
        quality, lean = next(means), next(means)
        right = _at_nodes(quality, self.quality, left[0])
        won = _at_nodes(lean, self.lean, left[1], np.array([-1.0, 1.0]))
        ahead = normal.cdf(lean.sum() / (2 * left[1]) ** 0.5)
        u, s = (right[:, None, side] * won[None, :, side] for side in (1, 0))
        return _metrics(right[:, 1], u, s, right[:, 0] * right[:, 1] * ahead)


NODES, SHARES = np.polynomial.hermite_e.hermegauss(9)
SHARES = SHARES / SHARES.sum()


def _partly_shared(rng, methods, shape, variance, alike):
    """Return normal effects `[methods, *shape]`, of whose variance all have a share in common."""
    common, own = rng.normal(size=shape), rng.normal(size=(methods, *np.atleast_1d(shape)))
    return variance**0.5 * (alike**0.5 * common + (1 - alike) ** 0.5 * own)


def _at_nodes(means, latent, variance, sign=1.0):
    """Return the share above 0 at each of the quadrature's values of the seed's own effect."""
    shift = np.multiply.outer(NODES * latent.seeds**0.5, sign + 0 * means)
    return normal.cdf((means + shift) / variance**0.5)


def _mean_product(right, won):
    """Return `[quality, lean]` the share of images answered right, over classes and poses."""
    return np.einsum("acp,bcp->ab", right, won) / right[0].size


def _metrics(t1, u, s, ausuc):
    """Return means over the seeds' effects: t1 and ausuc `[quality]`, u and s `[quality, lean]`."""
    h = 2 * u * s / (u + s)
    return {
        "t1": 100 * SHARES @ t1,
        "u": 100 * SHARES @ u @ SHARES,
        "s": 100 * SHARES @ s @ SHARES,
        "h": 100 * SHARES @ h @ SHARES,
        "ausuc": SHARES @ ausuc,
    }


# ---------------------------------------------------------------- what real runs have


def measure(outcomes, gammas):
    """Return the effects on quality and lean that runs over the same images show, one a seed.

    From moments of pairs of answers that share a seed, a class or an image. Quality is seen as
    right or wrong alone: its correlations are those of two normals with these moments
    (tetrachoric). Lean is measured on right answers, since no others count.
    """
    labels, seen = outcomes[0].labels, outcomes[0].seen
    is_seen = labels < seen
    right = np.stack([np.where(is_seen, o.seen_hit, o.unseen_hit) for o in outcomes])
    lean = np.stack([
        np.where(is_seen, 1, -1) * (o.margin - gamma)
        for o, gamma in zip(outcomes, gammas, strict=True)
    ])  # fmt: skip
    quality, leaning = [], []
    for side in (is_seen, ~is_seen):
        at, hits, lead = labels[side], right[:, side], lean[:, side]
        joint = _pair_moments(hits * 1.0, np.ones(hits.shape), at)
        threshold = normal.ppf(hits.mean())
        quality.append((threshold, {k: _tetrachoric(threshold, v) for k, v in joint.items()}))
        mean, sd = lead[hits].mean(), lead[hits].std()
        leaning.append((mean / sd, _pair_moments((lead - mean) / sd * hits, hits * 1.0, at)))
    return _effects(quality), _effects(leaning)


def _pair_moments(values, counted, labels):
    """Return the mean product of pairs, by what the two of a pair share. `[seeds, n]` each."""
    sums, counts = _pair_sums(values, labels), _pair_sums(counted, labels)
    return {shared: sums[shared] / counts[shared] for shared in sums}


def _pair_sums(values, labels):
    cells = np.stack([np.bincount(labels, weights=row) for row in values])
    same = (values**2).sum()
    image = (values.sum(axis=0) ** 2).sum() - same
    seed_and_class, seed = (cells**2).sum(), (values.sum(axis=1) ** 2).sum()
    class_ = (cells.sum(axis=0) ** 2).sum()
    return {
        "image": image,
        "seed and class": seed_and_class - same,
        "class": class_ - seed_and_class - image,
        "seed": seed - seed_and_class,
        "nothing": values.sum() ** 2 - seed - class_ + seed_and_class,
    }


def _tetrachoric(threshold, joint):
    """Return the correlation of two normals that are both below a threshold with this chance."""

    def excess(rho):
        both = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf([threshold, threshold])
        return float(both - joint)

    return brentq(excess, -0.9, 0.9999) if excess(0.9999) > 0 else 1.0


def _effects(sides):
    """Return means by side, and variances averaged over the sides."""
    alike = {shared: np.mean([found[shared] for _, found in sides]) for shared in sides[0][1]}
    nothing, of_class, of_seed = alike["nothing"], alike["class"], alike["seed"]
    return Effects(
        seen=sides[0][0],
        unseen=sides[1][0],
        classes=of_class - nothing,
        images=alike["image"] - of_class,
        seeds=of_seed - nothing,
        seeds_by_classes=alike["seed and class"] - of_class - of_seed + nothing,
    )


# Measured by `measure` on runs of plumage (60 seen classes of 6 test images, 20 unseen of 30):
#   zslbench leaderboard --dataset plumage --methods vit_attr_head,svip --worlds 1 --seeds 0,1,2
# Seeds as such moved nothing there: all they do differs from class to class.
HEAD = (
    Effects(0.36, 0.34, classes=0.04, images=0.78, seeds_by_classes=0.07),
    Effects(0.48, 1.21, classes=0.17, images=0.49, seeds_by_classes=0.10),
)
SVIP = (
    Effects(-0.07, 0.13, classes=0.18, images=0.60, seeds_by_classes=0.07),
    Effects(0.22, 1.26, classes=0.23, images=0.40, seeds_by_classes=0.07),
)


def with_more(effects, source, variance, instead="images"):
    """The same effects with variance moved to one source from another."""
    moved = {instead: getattr(effects, instead) - variance, source: variance}
    return replace(effects, **moved)


# ---------------------------------------------------------------- outcomes by hand


def outcome_of(labels, seen, right, margin, average="class"):
    """An outcome from whether the best class of an image's own side is its true one."""
    labels, right = np.asarray(labels), np.asarray(right, dtype=bool)
    is_seen = labels < seen
    return Outcome(labels, seen, right & is_seen, right & ~is_seen, np.asarray(margin), average)


def random_outcome(rng, seen_classes, unseen_classes, images, average="class"):
    """Classes differ in difficulty and in lean; margins are of one decimal, so that many tie."""
    classes = seen_classes + unseen_classes
    labels = np.repeat(np.arange(classes), images)
    right = rng.random(len(labels)) < rng.beta(4, 2, classes)[labels]
    lean = np.where(labels < seen_classes, 0.7, -0.7) + rng.normal(0, 0.6, classes)[labels]
    margin = np.round(lean + rng.normal(size=len(labels)), 1) + 0.05
    return outcome_of(labels, seen_classes, right, margin, average)
