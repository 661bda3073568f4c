"""A finished run by what its user calls it: the start of its key, or its id in MLflow."""

from collections.abc import Sequence

from zslbench.errors import ZslbenchError
from zslbench.store.store import Store, Stored

LISTED = 6


def find_run(store: Store, name: str) -> Stored:
    """Return the one finished run whose key begins with `name`, or whose id in MLflow it is.

    Raises:
        ZslbenchError: If there is none, or more than one.
    """
    keys = _keys(store, name)
    if not keys:
        store.pull("run")
        keys = _keys(store, name)
    if len(keys) == 1:
        return store.runs(keys)[0]
    if keys:
        listed = _listed(store.runs(keys))
        raise ZslbenchError(
            f"{name} begins the keys of {len(keys)} runs: {listed}. Write more of it."
        )
    notice = store.notice()
    raise ZslbenchError(
        f"No finished run in {store.results} has a key that begins with {name!r}, or that id in "
        f"MLflow. {notice + ' ' if notice else ''}There are: {_listed(store.runs())}."
    )


def _keys(store: Store, name: str) -> list[str]:
    wanted, ids = name.strip().lower(), store.mirror.pushed()
    return [
        entry.key
        for entry in store.index.entries("run")
        if wanted and (entry.key.startswith(wanted) or ids.get(entry.name) == name)
    ]


def _listed(runs: Sequence[Stored]) -> str:
    """Name the latest runs, as many as one reads."""
    names = [
        f"{r.key[:12]} ({r.spec.method} on {r.spec.dataset}, seed {r.spec.seed})"
        for r in (run.record for run in runs[: -LISTED - 1 : -1])
    ]
    more = [f"and {len(runs) - LISTED} more"] if len(runs) > LISTED else []
    return ", ".join([*names, *more]) or "none"
