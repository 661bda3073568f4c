"""Figures for papers: a column wide, told apart without colours, of the rows they say."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from boards import RULES, changed, selected_on_test, stored_run
from matplotlib.colors import to_rgb
from PIL import Image

from zslbench.stats.selection_bias import CHOSEN
from zslbench.studies.leaderboard import paper
from zslbench.studies.leaderboard.paper import write_paper_figures
from zslbench.studies.leaderboard.results import build_leaderboard

NAMES = ("h_by_method", "h_over_gamma", "h_over_time", "inflation", "seen_unseen")
HOSTILE = "../$x$ <b>\\"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("stored")
    seeds = [stored_run(root / f"s{seed}", seed=seed) for seed in range(2)]
    raw = stored_run(root / "raw", features="raw", reg_x=1000.0, reg_s=1000.0)
    return [*seeds, raw, *(changed(r, method="cheat") for r in map(selected_on_test, seeds))]


@pytest.fixture(scope="module")
def board(runs):
    return build_leaderboard(runs, Counter(), RULES)


@pytest.fixture(scope="module")
def many(board):
    return [replace(board.rows[0], label=f"method {n}") for n in range(40)]


@pytest.fixture(scope="module")
def paths(board, tmp_path_factory):
    return write_paper_figures(board, tmp_path_factory.mktemp("figures"))


def test_each_dataset_has_five_figures_a_column_wide_as_pdf_and_png(paths):
    assert {p.name for p in paths} == {f"toy_{n}.{kind}" for n in NAMES for kind in ("pdf", "png")}
    for path in paths:
        if path.suffix == ".png":
            assert Image.open(path).width == round(3.3 * 300)
        else:
            assert path.read_bytes().startswith(b"%PDF")
            assert b"/Type3" not in path.read_bytes()


def test_same_rows_give_the_same_bytes(board, paths, tmp_path):
    for one, other in zip(paths, write_paper_figures(board, tmp_path), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_hostile_names_are_drawn_as_they_are_and_stay_in_the_folder(runs, tmp_path):
    names = (HOSTILE, HOSTILE.replace("<", ">"))
    board = build_leaderboard(
        [changed(runs[2], dataset=name, method=name) for name in names], Counter()
    )
    paths = write_paper_figures(board, tmp_path / "figures")
    assert len(set(paths)) == 2 * 2 * 4
    assert {path.parent for path in paths} == {tmp_path / "figures"}
    assert list(tmp_path.iterdir()) == [tmp_path / "figures"]
    (legend,) = paper.seen_unseen(board.rows[:1]).legends
    assert legend.get_texts()[0].get_text().startswith(HOSTILE)


@pytest.mark.parametrize("draw", [paper.seen_unseen, paper.h_over_gamma])
def test_curves_are_told_apart_by_dash_and_marker(draw, many):
    lines = draw(many).axes[0].lines
    curves, points = lines[: paper.CURVES], lines[paper.CURVES :]
    assert len(curves) == paper.CURVES
    assert len({str(curve.get_linestyle()) + str(curve._unscaled_dash_pattern)
                for curve in curves}) == paper.CURVES  # fmt: skip
    assert len({point.get_marker() for point in points}) == paper.CURVES


def test_points_stand_where_the_table_says(board):
    row = board.rows[0]
    for figure, x, y in (
        (paper.seen_unseen([row]), row.value("u"), row.value("s")),
        (paper.h_over_gamma([row]), row.chosen["gamma"], row.value("h")),
        (paper.h_over_time([row]), max(row.evidence.fit_seconds, 1e-3), row.value("h")),
        (paper.h_by_method([row]), row.value("h"), 0),
    ):
        point = figure.axes[0].lines[-1]
        assert (point.get_xdata(), point.get_ydata()) == (pytest.approx([x]), pytest.approx([y]))


def test_h_has_both_its_intervals(board):
    new, these, _ = paper.h_by_method(board.rows[:1]).axes[0].lines
    for line, population in ((new, "new_classes"), (these, "these_classes")):
        found = board.rows[0].intervals["h"][population]
        assert list(line.get_xdata()) == [found.low, found.high]
    assert these.get_linewidth() > 2 * new.get_linewidth()


def test_inflation_is_drawn_by_what_is_chosen(board):
    (found, *_) = board.inflations
    for axes, chosen in zip(paper.inflation([found]).axes, CHOSEN[1:], strict=True):
        optimism, regret = axes.patches
        assert optimism.get_width() == found.optimism[chosen].mean
        assert regret.get_width() == found.regret[chosen].mean
        assert regret.get_hatch()
        assert not optimism.get_hatch()


def test_only_methods_with_a_classifiers_own_epochs_have_a_bar_for_them(board):
    found, other, *_ = board.inflations
    extra = {CHOSEN[0]: found.optimism["epoch"]}
    several = replace(found, optimism=found.optimism | extra, regret=found.regret | extra)
    axes = paper.inflation([several, other]).axes
    assert [a.get_title() for a in axes] == list(CHOSEN)
    assert [len(a.patches) for a in axes] == [2, 4, 4, 4]


def test_grey_alone_tells_optimism_from_regret():
    greys = [
        np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) for colour in (paper.MIDDLE, paper.LIGHT)
    ]
    assert abs(greys[0] - greys[1]) > 0.25


def test_what_was_selected_on_test_is_hollow_and_has_no_curve(board):
    cheats = [row for row in board.rows if row.set_apart]
    assert {row.method for row in cheats} == {"cheat"}
    points = paper.h_by_method(board.rows).axes[0].lines[2::3]
    hollow = [point.get_markerfacecolor() == "white" for point in points]
    assert hollow == [row.set_apart for row in board.rows]
    legend = paper.seen_unseen(board.rows).legends[0]
    names = {text.get_text().replace("\n", " ") for text in legend.get_texts()}
    fair = [row for row in board.rows if not row.set_apart and row.rule == "validation"]
    assert names == {row.title for row in fair}
    assert legend.get_title().get_text() == "rule validation"


def test_a_figure_of_some_rows_says_of_how_many(many):
    assert paper.seen_unseen(many).legends[0].get_title().get_text() == "(the first 6 of 40 rows)"
    assert "(the first 30 of 40 rows)" in paper.h_by_method(many).get_supxlabel()
