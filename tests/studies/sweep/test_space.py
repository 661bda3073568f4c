"""The space of a sweep: what methods declare, what the user names, what is refused."""

import pytest
from fakes import Softmax
from searches import SEARCHED

from zslbench.errors import ZslbenchError
from zslbench.method import hyper
from zslbench.method.registry import load_method
from zslbench.studies.sweep.space import (
    Parameter,
    cells,
    default_space,
    even_points,
    parse_space,
    places,
)


class Spaced(Softmax):
    class Config(Softmax.Config):
        epochs: int = hyper(3, low=1, high=9, symbol="epochs", doc="length")
        batch_size: int = hyper(3, low=1, high=9, symbol="B", doc="batch")
        M: int = hyper(5, low=1, high=48, symbol="M", doc="patches")
        weight: float = hyper(1.0, low=0.0, high=100.0, log=True, symbol="lambda", doc="weight")
        margin: float | None = hyper(
            None, low=0.0, high=2.0, grid=(1.0,), symbol="Delta", doc="margin"
        )
        frozen: float = hyper(0.0, low=0.0, high=0.0, symbol="eta_b", doc="0")


class Swept(Spaced):
    swept = ("weight", "M")


class Decayed(Softmax):
    class Config(Softmax.Config):
        decay: float = hyper(1e-4, low=0.0, high=1.0, log=True, symbol="wd", doc="decay")


M = Parameter("M", 1, 48, whole=True, symbol="M")
WEIGHT = Parameter("weight", 0.1, 100.0, log=True, symbol="lambda")
MARGIN = Parameter("margin", 0.0, 2.0, symbol="Delta")


def test_default_space_is_all_that_hyper_declares_but_lengths_and_constants():
    assert default_space(Spaced) == [M, WEIGHT, MARGIN]


def test_small_default_lies_inside_its_range():
    (decay,) = default_space(Decayed)
    assert (decay.low, decay.high) == (1e-5, 1.0)


def test_method_may_name_its_own_space():
    assert default_space(Swept) == [WEIGHT, M]


def test_what_is_set_is_not_searched():
    assert default_space(Spaced, {"M": "3"}) == [WEIGHT, MARGIN]


def test_nothing_to_search_is_refused():
    with pytest.raises(ZslbenchError, match="nothing to search"):
        default_space(Swept, {"M": "3", "weight": "2"})


@pytest.mark.parametrize("name", SEARCHED)
def test_every_method_has_a_space_that_holds_its_defaults(name):
    cls = load_method(name)
    space = default_space(cls)
    assert set(cls.swept) <= {parameter.name for parameter in space} or not cls.swept
    for parameter in space:
        for value in parameter.points(2):
            assert getattr(cls.Config(**{parameter.name: value}), parameter.name) == value


def test_a_method_that_trains_nothing_leaves_nothing_to_search():
    with pytest.raises(ZslbenchError, match="ClipZeroShot leaves nothing to search"):
        default_space(load_method("clip_zero_shot"))


def test_svip_searches_what_its_paper_varies():
    space = default_space(load_method("svip"))
    assert [p.name for p in space] == ["M", "lambda1", "lambda2", "scale"]
    assert (space[1].low, space[1].high, space[1].log) == (0.1, 100.0, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("M", M),
        ("M=10:48", Parameter("M", 10, 48, whole=True, symbol="M")),
        ("M=4|16", Parameter("M", choices=(4, 16))),
        ("weight=0.01:10:log", Parameter("weight", 0.01, 10, log=True, symbol="lambda")),
        ("weight=0:10", Parameter("weight", 0, 10, symbol="lambda")),
        ("margin=1|0.5|1", Parameter("margin", choices=(1.0, 0.5))),
        ("breaks=true|false", Parameter("breaks", choices=(True, False))),
        ("class_attributes=l2|raw", Parameter("class_attributes", choices=("l2", "raw"))),
    ],
)
def test_space_as_the_user_names_it(text, expected):
    assert parse_space(Spaced, "spaced", [text], {}) == [expected]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["wieght=1:2"], "Did you mean 'weight'?"),
        (["M=1:99"], "M may be 1 to 48. Choose a range within these bounds"),
        (["M=0:9"], "M may be 1 to 48"),
        (["M=1.5:9"], "whole numbers"),
        (["M=9:1"], "the lower one first"),
        (["M=1:9:lg"], "M=low:high:log"),
        (["M=9"], "M=low:high"),
        (["M=a:b"], "M=low:high"),
        (["M=4|99"], "M=99"),
        (["weight=0:10:log"], "more than 0 on a logarithmic scale"),
        (["class_attributes=0:1"], "Name choices"),
        (["class_attributes"], "Name choices"),
        (["class_attributes=l2|l3"], "class_attributes=l3"),
        (["M=1:9", "M=2:9"], "names M twice"),
        (["rate=1|2"], "rate is set, and in the space"),
    ],
)
def test_spaces_that_are_refused(texts, said):
    with pytest.raises(ZslbenchError) as refusal:
        parse_space(Spaced, "spaced", texts, {"rate": "1"})
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("parameter", "value", "nearest"),
    [
        (M, 99, 48),
        (M, 7, 7),
        (WEIGHT, 0.0, 0.1),
        (Parameter("M", choices=(4, 16)), 9, 4),
        (Parameter("f", choices=("a", "b")), "b", "b"),
        (Parameter("f", choices=("a", "b")), "c", "a"),
    ],
)
def test_nearest_value_of_an_axis(parameter, value, nearest):
    assert parameter.clipped(value) == nearest


def test_cells_of_a_grid():
    assert WEIGHT.points(4) == [0.1, 1, 10, 100]
    assert MARGIN.points(3) == [0, 1, 2]
    assert Parameter("M", 1, 2, whole=True).points(5) == [1, 2]
    grid = cells([Parameter("f", choices=("a", "b")), MARGIN], 2)
    assert grid == [{"f": f, "margin": m} for f in "ab" for m in (0.0, 2.0)]


def test_a_sobol_sequence_has_a_point_in_every_cell_from_its_start():
    space = [Parameter("lr", 1e-4, 1e-2, log=True), Parameter("f", choices=("a", "b"))]
    points = even_points(space, 0)[:8]
    assert points == even_points(space, 0)[:8] != even_points(space, 1)[:8]
    assert len({(int(4 * space[0].place(point["lr"])), point["f"]) for point in points}) == 8


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (Parameter("x", 2, 4), 2, 0.0),
        (Parameter("x", 2, 4), 3.5, 0.75),
        (Parameter("x", 1e-4, 1, log=True), 1e-3, 0.25),
        (Parameter("x", 1, 49, whole=True), 49, 1.0),
        (Parameter("x", 2, 4), 4.1, None),
        (Parameter("x", 0.1, 100, log=True), 0, None),  # switched off, not searched
        (Parameter("x", 2, 4), None, None),
        (Parameter("x", choices=("a", "b")), "a", None),
    ],
)
def test_a_value_has_a_place_on_the_scale_of_its_axis(axis, value, place):
    assert axis.place(value) == (place if place is None else pytest.approx(place))
    assert places([axis], {"x": value}) == ({} if place is None else {"x": axis.place(value)})
