"""What tests of a sweep stand on."""

import pytest

from zslbench.method import registry
from zslbench.method.conformance import toy_dataset
from zslbench.store import Store
from zslbench.studies.sweep import trials as module


@pytest.fixture(autouse=True)
def only_tunable(monkeypatch):
    monkeypatch.setitem(registry.method_modules(), "tunable", "searches")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture
def dataset():
    return toy_dataset()


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that makes the n-th selection from now on end in Ctrl-C, half-way."""
    real = module.select

    def arm(*numbers):
        calls = []

        def interrupted(spec, dataset, tick, slots, stop, worlds):
            calls.append(spec)

            def ends(world, epoch, best_h):
                if len(calls) in numbers and (world, epoch) == (2, 2):
                    raise KeyboardInterrupt
                return stop(world, epoch, best_h)

            return real(spec, dataset, tick, slots, ends, worlds)

        monkeypatch.setattr(module, "select", interrupted)
        return calls

    return arm
