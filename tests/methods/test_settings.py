"""Every setting of every method says what it is: in a line, by the paper's symbol, in bounds."""

from typing import get_args

import numpy as np
import pytest
from searches import SEARCHED

from zslbench.method import bounds
from zslbench.method.describe import describe
from zslbench.method.registry import load_method, method_modules
from zslbench.studies.sweep.space import declared_range, default_space


def settings():
    for name in sorted(method_modules()):
        for key, info in load_method(name).Config.model_fields.items():
            yield pytest.param(name, key, info, id=f"{name}-{key}")


@pytest.mark.parametrize(("name", "key", "info"), list(settings()))
def test_every_setting_is_documented_and_every_number_is_bounded_and_searched(name, key, info):
    assert info.description
    assert info.json_schema_extra["symbol"]
    if {int, float} & {info.annotation, *get_args(info.annotation)}:
        low, high = bounds(info)
        space = declared_range(load_method(name).Config, key)
        assert low <= space.low <= space.high <= high
        assert info.default is None or low <= info.default <= high
        assert info.default is not None or info.json_schema_extra["grid"]


def test_what_a_setting_may_be_is_listed_by_name():
    said = describe("svip")["settings"]
    assert said["target"]["type"] == "topm, minmax, rank"
    assert said["augment"]["type"] == "True, False"
    assert describe("eszsl")["settings"]["reg_x"]["type"] == "number"
    assert describe("eszsl")["settings"]["targets"]["type"] == "signed, binary"
    assert describe("eszsl")["settings"]["targets"]["grid"] == ["signed", "binary"]


@pytest.mark.parametrize("name", SEARCHED)
def test_the_default_lies_well_within_what_a_sweep_searches(name):
    """Where it lies at an end, almost all trials would be of another kind than the default."""
    defaults = load_method(name).Config()
    for space in default_space(load_method(name)):
        default = getattr(defaults, space.name)
        if not default:
            continue  # chosen on the tuning worlds, or off
        low, value, high = np.log([space.low, default, space.high]) if space.log else (
            space.low, default, space.high,
        )  # fmt: skip
        assert 0.05 <= (value - low) / (high - low) <= 0.95, space
