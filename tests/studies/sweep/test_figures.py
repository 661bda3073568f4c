"""A sweep's figures: what is drawn, and what is not because it would say nothing."""

import pytest

from zslbench.report.records import csv_text
from zslbench.report.writers import markdown
from zslbench.studies.sweep.figures import draw_contours, draw_importances
from zslbench.studies.sweep.results import SweepReport, TrialPoint, TrialRow, Winner

PARAMS = [
    {"M": 10, "rate": 0.1, "form": "l2"}, {"M": 20, "rate": 1.0, "form": "raw"},
    {"M": 15, "rate": 0.01, "form": "l2"}, {"M": 40, "rate": 0.5, "form": "raw"},
    {"M": 30, "rate": 0.02, "form": "l2"},
]  # fmt: skip


def report_of(params=PARAMS, states=(), **more):
    states = [*states, *["complete"] * (len(params) - len(states))]
    tried = [
        TrialPoint(n, state, 40.0 + 3 * n if state != "failed" else None, values)
        for n, (state, values) in enumerate(zip(states, params, strict=True))
    ]
    rows = [TrialRow(t.number, t.params, t.h) for t in tried if t.state == "complete"]
    rows = sorted(rows, key=lambda row: -row.h)
    counts = {state: states.count(state) for state in ("complete", "pruned", "failed")}
    return SweepReport(
        "mine", "svip", "CUB", counts, rows[:5], rows[-1] if rows else None,
        more.pop("importances", None), Winner(rows[0]) if rows else None,
        trials=tuple(tried), log=frozenset({"rate"}), **more,
    )  # fmt: skip


def panels(figure):
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


@pytest.mark.parametrize(("names", "drawn"), [(1, 1), (2, 3), (3, 6)])
def test_one_panel_a_setting_and_one_a_pair(names, drawn):
    kept = [dict(list(values.items())[:names]) for values in PARAMS]
    assert len(panels(draw_contours(report_of(kept)))) == drawn


def test_most_important_settings_are_drawn_where_there_are_many():
    many = [{f"p{k}": n * k + 0.5 for k in range(1, 8)} for n in range(6)]
    shares = {f"p{k}": k / 28 for k in range(7, 0, -1)}
    shown = panels(draw_contours(report_of(many, importances=shares)))
    assert {axes.get_xlabel() for axes in shown} == {"p7", "p6", "p5", "p4"}


def filled(axes):
    return any("Contour" in type(artist).__name__ for artist in axes.get_children())


def test_contours_are_drawn_between_numbers_alone():
    by_axes = {(a.get_xlabel(), a.get_ylabel()): a for a in panels(draw_contours(report_of()))}
    assert filled(by_axes["M", "rate"])
    assert not filled(by_axes["M", "form"])
    assert not filled(by_axes["rate", "form"])


@pytest.mark.parametrize(
    "params",
    [
        [{"a": float(n), "b": 2.0 * n} for n in range(6)],  # on a line
        [{"a": 1.0, "b": 2.0}] * 6,
        [{"a": float(n), "b": float(n % 2)} for n in range(3)],  # too few
    ],
)
def test_trials_that_span_no_plane_are_drawn_without_contours(params):
    assert not any(map(filled, panels(draw_contours(report_of(params)))))


def test_logarithmic_axes_are_labelled_with_values_not_powers():
    figure = draw_contours(report_of())
    rate = next(axes for axes in panels(figure) if axes.get_xlabel() == "rate")
    format_ = rate.xaxis.get_major_formatter()
    assert (format_(-2.0, 0), format_(0.0, 0)) == ("0.01", "1")


def test_pruned_trials_are_crosses_and_no_values():
    figure = draw_contours(report_of(states=["complete", "pruned"]))
    pair = next(a for a in panels(figure) if (a.get_xlabel(), a.get_ylabel()) == ("M", "rate"))
    (crosses,) = [line for line in pair.lines if line.get_marker() == "x"]
    assert crosses.get_xdata().tolist() == [20.0]
    assert 20.0 not in pair.collections[-1].get_offsets()[:, 0]


def test_bars_of_both_importances_differ_without_colour():
    shares = {"M": 0.7, "rate": 0.3}
    figure = draw_importances(report_of(importances=shares, fanova={"M": 0.4, "rate": 0.6}))
    (axes,) = figure.axes
    hatches = {bars.patches[0].get_hatch() for bars in axes.containers}
    assert len(hatches) == 2
    assert [text.get_text() for text in axes.get_yticklabels()] == ["M", "rate"]


def test_page_and_lines_tell_of_failed_trials():
    report = report_of(states=["failed"])
    assert "4 complete, 1 failed" in markdown(report.document())
    assert csv_text(report.records()).splitlines()[1] == "0,failed,10,0.1,l2,,,"


def test_sweep_without_a_complete_trial_has_a_page_too():
    report = report_of(states=["failed"] * len(PARAMS))
    assert "5 failed" in markdown(report.document())
    assert len(csv_text(report.records()).splitlines()) == 1 + len(PARAMS)
