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
    runs = [] if store.is_local and not store.results.is_dir() else store.runs()
    wanted = name.strip().lower()
    found = [
        run for run in runs if wanted and (run.record.key.startswith(wanted) or run.run_id == name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise ZslbenchError(
            f"{name} begins the keys of {len(found)} runs: {_listed(found)}. Write more of it."
        )
    away = f" MLflow at {store.uri} could not be reached ({store.error})." if store.error else ""
    raise ZslbenchError(
        f"No finished run in {store.results} has a key that begins with {name!r}, or that id in "
        f"MLflow.{away} There are: {_listed(runs)}."
    )


def _listed(runs: Sequence[Stored]) -> str:
    """Name the latest runs, as many as one reads."""
    latest = sorted(runs, key=lambda run: run.record.created, reverse=True)
    names = [
        f"{r.key[:12]} ({r.spec.method} on {r.spec.dataset}, seed {r.spec.seed})"
        for r in (run.record for run in latest[:LISTED])
    ]
    more = [f"and {len(runs) - LISTED} more"] if len(runs) > LISTED else []
    return ", ".join([*names, *more]) or "none"
