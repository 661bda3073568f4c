"""A table that is asked for: its methods, its data, its seeds, and what is shown of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zslbench.data.load import DataRequest
from zslbench.engines.execute import Job
from zslbench.errors import ZslbenchError, unknown
from zslbench.method.registry import method_modules
from zslbench.protocol import RULES
from zslbench.records import RuleName
from zslbench.studies.leaderboard.plan.suite import read_suite
from zslbench.studies.leaderboard.rows import TITLE
from zslbench.studies.plan import Entry, plan
from zslbench.studies.progress import say


@dataclass(frozen=True)
class TableRequest:
    """A table that is asked for.

    Attributes:
        methods: Names, or lines of a suite; None: all that the data can serve.
        data: The datasets.
        settings: What differs from the defaults of the methods named.
        seeds: None: those of the suite, or of the plan.
        worlds: Tuning worlds.
        rules: The rules to show, in the protocol's order.
        reference: A row's title, or a method, to take differences from; may be empty.
        name: Of the files it is written to.
        title: What it is.
        about: What a reader must know of it as a whole.
        tuning_seeds: Fits in each tuning world, of methods that are not deterministic.
    """

    methods: Sequence[str | Entry] | None
    data: Sequence[DataRequest]
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] | None = None
    worlds: int = 3
    rules: tuple[RuleName, ...] = ("validation",)
    reference: str = ""
    name: str = "leaderboard"
    title: str = TITLE
    about: str = ""
    tuning_seeds: int = 1

    def jobs(self, on_progress: Callable[[int, int], None]) -> list[Job]:
        """Return the runs that it takes."""
        return plan(
            sorted(method_modules()) if self.methods is None else self.methods,
            self.data,
            settings=self.settings,
            seeds=self.seeds,
            worlds=self.worlds,
            tuning_seeds=self.tuning_seeds,
            published="published" in self.rules,
            on_skip=say if self.methods is None else None,
            on_progress=on_progress,
        )


def request_table(
    methods: Sequence[str] | None = None,
    data: Sequence[DataRequest] | None = None,
    *,
    suite: str | None = None,
    seeds: Sequence[int] | None = None,
    worlds: int | None = None,
    tuning_seeds: int | None = None,
    rules: Sequence[str] | None = None,
    reference: str | None = None,
) -> TableRequest:
    """Return the table of a suite, or of methods on datasets; what is said goes before the suite's.

    Args:
        methods: Their names, where no suite is named; None: all that the data can serve.
        data: The datasets; None: those of the suite, below `data`.
        suite: Its name, or its file.
        seeds: By default 0, 1, 2, and one for a deterministic method.
        worlds: Tuning worlds, by default 3.
        tuning_seeds: Fits in each of them, by default 1.
        rules: The rules to show, by default `validation`.
        reference: A row's title, or a method.

    Raises:
        ZslbenchError: If there is no such suite or rule, if both methods and a suite are named, or
            neither data nor a suite.
    """
    if suite is None:
        if data is None:
            raise ZslbenchError(
                "methods, seeds, worlds, tuning_seeds, tune, retry, plan, study and jobs are for "
                "runs, and there are no runs without data: name a suite, or datasets."
            )
        checked = check_rules(rules or ("validation",))
        return TableRequest(
            methods, data, seeds=seeds, worlds=worlds or 3, rules=checked,
            reference=reference or "", tuning_seeds=tuning_seeds or 1,
        )  # fmt: skip
    if methods is not None:
        raise ZslbenchError(
            f"methods {','.join(methods)}: the suite names its rows; leave them out."
        )
    read = read_suite(suite)
    read = read.model_copy(update={"seeds": list(seeds or read.seeds)})
    if data is None:
        data = [DataRequest(name, Path("data")) for name in read.datasets]
    return TableRequest(
        methods=read.entries(),
        data=read.requests(data),
        worlds=worlds or read.worlds,
        tuning_seeds=tuning_seeds or read.tuning_seeds,
        rules=check_rules(rules or read.rules),
        reference=read.reference if reference is None else reference,
        name=read.name,
        title=read.title,
        about=read.preface,
    )


def check_rules(rules: Sequence[str]) -> tuple[RuleName, ...]:
    """Return the rules named, in the protocol's order."""
    for rule in rules:
        if rule not in RULES:
            raise unknown("rule", rule, RULES)
    return tuple(rule for rule in RULES if rule in rules)
