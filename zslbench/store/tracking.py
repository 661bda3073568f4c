"""MLflow's side of a store: its client, its database, its experiments and runs."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from zslbench.store.payload import PREFIX, Payload

EXPERIMENT = "zslbench/"
PAGE = 1000


class Tracking:
    """MLflow at a tracking URI.

    Args:
        results: The results folder.
        uri: The tracking URI; None: a SQLite file in `results`.
        lock: Keeps other processes on this disk out, by name.
    """

    def __init__(
        self, results: Path, uri: str | None, lock: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self.results, self.lock = results, lock
        self.database = results / "mlflow.db"
        local = f"sqlite:///{self.database}"
        self.uri = uri or local
        self.is_local = self.uri == local
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> Any:
        """MLflow's client; a new SQLite database is made by one process at a time.

        It sends a request again whose answer is late, which may leave a run in MLflow that never
        ends; whoever reads passes over it.
        """
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        with self.lock("database"):
            if self.is_local and not self.database.exists():
                self._make_database()
            return MlflowClient(self.uri)

    def _make_database(self) -> None:
        """Make the database, whole or not at all: MLflow cannot mend a half-made one."""
        from mlflow import MlflowClient

        for left in self.results.glob(".database-*"):
            shutil.rmtree(left)
        draft = self.results / f".database-{uuid4().hex}"
        draft.mkdir()
        MlflowClient(f"sqlite:///{draft / self.database.name}")
        (draft / self.database.name).rename(self.database)
        shutil.rmtree(draft)

    def _known_experiments(self) -> dict[str, str]:
        found = self.client.search_experiments(filter_string=f"name LIKE '{EXPERIMENT}%'")
        self._experiments = {experiment.name: experiment.experiment_id for experiment in found}
        return self._experiments

    def _experiment(self, short_name: str) -> str:
        """Return the id of an experiment, made where there is none; `sync` holds the lock."""
        name = EXPERIMENT + short_name
        if name not in self._experiments and name not in self._known_experiments():
            folder = (self.results / "artifacts" / short_name).as_uri() if self.is_local else None
            tags = {"mlflow.experimentKind": "custom_model_development"}
            self._experiments[name] = self.client.create_experiment(name, folder, tags)
        return self._experiments[name]

    def search(self, filter_string: str) -> Iterator[Any]:
        """Yield runs of all our experiments, the earliest to end first."""
        experiments = list(self._known_experiments().values())
        token = None
        while experiments:
            page = self.client.search_runs(
                experiments,
                filter_string,
                max_results=PAGE,
                order_by=["attributes.end_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def create(self, shown: Payload, folder: Path) -> None:
        """Make a run with a folder's files as its artifacts; its status FINISHED comes last."""
        from mlflow.entities import Dataset, DatasetInput, Metric, Param

        end = int(folder.stat().st_mtime * 1000)
        start = end - int(shown.seconds * 1000)
        tags = shown.tags | self._parent_tag(shown)
        experiment = self._experiment(shown.experiment)
        run = self.client.create_run(experiment, start, tags, shown.name).info
        metrics = [Metric(name, value, end, step) for name, value, step in shown.metrics]
        params = [Param(name, value) for name, value in shown.params.items()]
        for first in range(0, max(len(metrics), 1), 900):
            self.client.log_batch(run.run_id, metrics[first : first + 900], params)
            params = []
        if shown.dataset:
            name, digest = shown.dataset
            dataset = Dataset(name, digest[:36], "local", name)
            self.client.log_inputs(run.run_id, [DatasetInput(dataset)])
        self.client.log_artifacts(run.run_id, str(folder))
        self.client.set_terminated(run.run_id, shown.status, end)

    def _parent_tag(self, shown: Payload) -> dict[str, str]:
        """Return the tag that nests a run under its parent, if the parent is there."""
        parent = shown.parent and next(self.search(finished(*shown.parent)), None)
        return {"mlflow.parentRunId": parent.info.run_id} if parent else {}


def finished(kind: str, key: str | None = None) -> str:
    """Return the filter that finds the finished runs of a kind, or the one of a key."""
    status = {"failure": "= 'FAILED'", "trial": "!= 'RUNNING'"}.get(kind, "= 'FINISHED'")
    parts = [f"tags.`{PREFIX}kind` = '{kind}'", f"attributes.status {status}"]
    if key:
        parts.append(f"tags.`{PREFIX}key` = '{key}'")
    return " AND ".join(parts)
