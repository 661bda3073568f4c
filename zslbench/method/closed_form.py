"""Methods on fixed features with a closed-form solution."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from zslbench.method.base import Epoch, Method


class ClosedFormMethod(Method):
    """A method on fixed features with a closed-form solution: one epoch, float64, no seed."""

    needs = frozenset({"features"})
    deterministic = True
    precision = "float64"

    def fit(self, prepared: Any, after: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
        """Solve, and yield the one epoch."""
        self.solve(prepared)
        yield Epoch(1)

    @abstractmethod
    def solve(self, prepared: Any) -> None:
        """Compute the solution for `self.config` from what `prepare` returned."""
