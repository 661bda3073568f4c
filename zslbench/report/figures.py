"""Figures, drawn with matplotlib's objects alone (no pyplot, no display)."""

from typing import Any

from zslbench.metrics import Outcome

SEEN, UNSEEN, HARMONIC, CHOSEN = "#0072B2", "#D55E00", "#222222", "#777777"


def draw_over_gamma(
    axes: Any,
    outcome: Outcome,
    gamma: float | None,
    words: str = "chosen on validation",
    unit: str = "standard deviations of class-centred scores",
) -> None:
    """Draw U, S and H over gamma; where a gamma was chosen, mark it and say by what."""
    curve = outcome.curve
    low, high = min(0.0, gamma or 0.0), max(0.0, gamma or 0.0)
    if len(curve.steps):
        low, high = min(low, curve.steps[0]), max(high, curve.steps[-1])
    margin = 0.03 * (high - low) or 1.0
    edges = [low - margin, *curve.steps, high + margin]
    for values, colour, style, name in (
        (curve.u, UNSEEN, "--", "U"),
        (curve.s, SEEN, "-.", "S"),
        (curve.h, HARMONIC, "-", "H"),
    ):
        axes.stairs(
            values, edges, baseline=None, color=colour, linestyle=style, linewidth=1.4, label=name
        )
    if gamma is not None:
        h = outcome.scores(gamma).h
        axes.axvline(gamma, color=CHOSEN, linewidth=0.9)
        right = gamma > (low + high) / 2
        axes.annotate(f"{words}: H {h:.1f}", (gamma, 2), xytext=(-4 if right else 4, 0),
                      ha="right" if right else "left", textcoords="offset points", fontsize=8,
                      color=CHOSEN)  # fmt: skip
    axes.set(xlabel=f"gamma ({unit})", ylabel="percent")
    axes.set(ylim=(0, None), xlim=(edges[0], edges[-1]))
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def draw_plane(axes: Any, outcome: Outcome, gamma: float | None) -> None:
    """Draw S over U, with gamma = 0 and, where one was chosen, the chosen gamma."""
    curve = outcome.curve
    axes.plot(curve.u, curve.s, color=HARMONIC, linewidth=1.4)
    axes.fill_between(curve.u, curve.s, color=HARMONIC, alpha=0.08, linewidth=0)
    marks = [(0.0, "o", CHOSEN, "gamma = 0")]
    marks += [] if gamma is None else [(gamma, "s", HARMONIC, "chosen")]
    for value, marker, colour, name in marks:
        u, s = curve.at(value)
        axes.plot([u], [s], marker, color=colour, label=name)
    axes.set(xlabel="U, percent", ylabel="S, percent", title=f"AUSUC {curve.area:.3f}")
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
