"""What a sensitivity study varies: which settings, over which values."""

from typing import ClassVar

import pytest
from fakes import Softmax
from searches import SEARCHED

from zslbench.errors import ZslbenchError
from zslbench.method import PublishedCurve, hyper
from zslbench.method.registry import load_method
from zslbench.studies.sensitivity.axes import axes_of, parse_grids


class Varied(Softmax):
    class Config(Softmax.Config):
        M: int = hyper(40, low=1, high=48, symbol="M", doc="patches")
        weight: float = hyper(1.0, low=0.0, high=5.0, log=True, symbol="lambda", doc="weight")
        share: float = hyper(0.5, low=0.0, high=1.0, symbol="alpha", doc="share")
        reg: float | None = hyper(None, low=0.1, high=9.0, grid=(0.1, 1.0), symbol="r", doc="reg")

    published_curves: ClassVar = {
        "M": PublishedCurve(40, (35, 40, 49)), "share": PublishedCurve(0.3),
    }  # fmt: skip


def axes(*names, grid=(), **config):
    made = Varied.Config(**{"reg": 1.0, **config})
    return axes_of(Varied, "varied", made, names, parse_grids(grid))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("M", (35, 40, 48)),  # the paper's, within bounds
        ("weight", (0.1, 0.333, 1.0, 3.0, 5.0)),  # ratios of the default, cut to the bounds
        ("share", (0.0, 0.25, 0.3, 0.5, 0.75, 1.0)),  # even steps, and the paper's best
        ("reg", (0.1, 1.0)),  # the method's own grid
        ("breaks", (False, True)),
        ("class_attributes", ("l2", "raw", "centred")),
    ],
)
def test_values_are_the_papers_or_around_the_default(name, values):
    (axis,) = axes(name)
    assert axis.values == values
    assert axis.default in axis.values


def test_paper_says_what_is_varied_and_where_it_was_best():
    assert [(axis.parameter, axis.optimum) for axis in axes()] == [("M", 40), ("share", 0.3)]


def test_method_without_curves_varies_what_a_sweep_would_search():
    eszsl = load_method("eszsl")
    found = axes_of(eszsl, "eszsl", eszsl.Config(reg_x=1, reg_s=1))
    assert [axis.parameter for axis in found] == ["reg_x", "reg_s"]


def test_values_asked_for_are_those_and_the_default():
    (axis,) = axes(grid=["weight=0.01, 2,0.5"])
    assert axis.values == (0.01, 0.5, 1.0, 2.0)
    assert (axis.log, axis.symbol) == (True, "lambda")
    (axis,) = axes(grid=["weight=0,2"])
    assert not axis.log


def test_default_is_the_configs():
    assert axes("M", M=30)[0].values == (30, 35, 40, 48)


def test_svip_is_varied_as_in_its_figure():
    svip = load_method("svip")
    found = {axis.parameter: axis for axis in axes_of(svip, "svip", svip.Config())}
    assert {name: axis.optimum for name, axis in found.items()} == {
        "M": 40, "lambda1": 1.0, "lambda2": 3.0, "scale": 5.0,
    }  # fmt: skip
    assert found["lambda1"].values == (0.1, 0.3, 1.0, 5.0)
    assert (found["M"].values[0], found["M"].values[-1]) == (35, 48)
    assert 5.0 in found["scale"].values


@pytest.mark.parametrize("name", SEARCHED)
def test_every_method_can_be_varied_within_its_bounds(name):
    cls = load_method(name)
    config = cls.Config().candidates()[0]
    for axis in axes_of(cls, name, config):
        assert len(axis.values) > 1
        for value in axis.values:
            assert getattr(cls.Config(**{axis.parameter: value}), axis.parameter) == value


@pytest.mark.parametrize(
    ("names", "grid", "said"),
    [
        (["weigth"], [], "Did you mean 'weight'"),
        ([], ["weigth=1,2"], "Did you mean 'weight'"),
        ([], ["weight"], "name=a,b,c"),
        ([], ["weight="], "name=a,b,c"),
        ([], ["=1,2"], "name=a,b,c"),
        ([], ["weight=1,2", "weight=3"], "names weight twice"),
        ([], ["weight=1,6"], "weight=6"),
        ([], ["weight=1,much"], "weight=much"),
        ([], ["reg=none"], "reg=none"),
        ([], ["M=40.5"], "M=40.5"),
        ([], ["weight=1"], "nothing else"),
        (["passes"], [], "name a grid of values"),
    ],
)
def test_what_cannot_be_varied_is_refused(names, grid, said):
    with pytest.raises(ZslbenchError, match=said):
        axes(*names, grid=grid)
