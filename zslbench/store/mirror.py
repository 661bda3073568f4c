"""The mirror: every record as a run in MLflow, in a SQLite file beside the folders or on a server.

Nothing here is needed to know what is finished. A server is also pulled from, so that machines
share a study.
"""

import hashlib
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from zslbench.records import Record
from zslbench.store.address import fault_of_database, fault_of_uri
from zslbench.store.folders import RECORD_FILE, RunFolders
from zslbench.store.journal import Journal
from zslbench.store.payload import PREFIX, Payload, payload

EXPERIMENT = "zslbench/"
PAGE = 1000
FEW = 20
SHARED = ("run", "sequence", "choice", "trial")  # two machines may make the same one at once


class Mirror:
    """MLflow at a tracking URI.

    Args:
        results: The results folder.
        uri: The tracking URI; None: a SQLite file in `results`.
        folders: The records that are mirrored.
        lock: Keeps other processes on this disk out, by name.

    Attributes:
        error: Why MLflow was left alone since; None while it answers.
    """

    def __init__(
        self,
        results: Path,
        uri: str | None,
        folders: RunFolders,
        lock: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self.results, self.server, self._folders, self._lock = results, uri, folders, lock
        self.database = results / "mlflow.db"
        mark = f"-{hashlib.sha256(uri.encode()).hexdigest()[:8]}" if uri else ""
        self._pushed = Journal(results / f"mlflow{mark}.jsonl")
        self._experiments: dict[str, str] = {}
        self.error: str | None = None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return self.server or str(self.database)

    @cached_property
    def uri(self) -> str:
        """The tracking URI: of a SQLite file, with whatever is in its path quoted."""
        if self.server:
            return self.server
        from sqlalchemy.engine import URL

        # With a driver named MLflow makes no folder by the quoted name.
        return URL.create("sqlite+pysqlite", database=str(self.database)).render_as_string()

    def fault(self) -> str | None:
        """Return why it can never work as it is, in a sentence."""
        return fault_of_uri(self.server) if self.server else fault_of_database(self.database)

    def attempt(self, action: Callable[[], Any]) -> bool:
        """Do something with MLflow; after one failure this process leaves it alone."""
        self.error = self.error or self.fault()
        if self.error:
            return False
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            action()
        except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
            self.error = f"MLflow at {self.place} could not be reached ({_reason(error)})."
            return False
        return True

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
        if self.server:
            return MlflowClient(self.server)
        with self._lock("database"):
            if not self.database.exists():
                self._make_database()
            self._follow_move()
            return MlflowClient(self.uri)

    def _make_database(self) -> None:
        """Make the database, whole or not at all: MLflow cannot fix a half-made one."""
        from mlflow import MlflowClient

        for left in self.results.glob(".database-*"):
            shutil.rmtree(left)
        draft = self.results / f".database-{uuid4().hex}"
        draft.mkdir()
        made = Mirror(draft, None, self._folders, self._lock)
        MlflowClient(made.uri)
        self._pushed.path.unlink(missing_ok=True)
        made.database.rename(self.database)
        shutil.rmtree(draft)

    def _follow_move(self) -> None:
        """Correct where MLflow looks for files, after the results folder was moved or copied."""
        with closing(sqlite3.connect(self.database, timeout=60)) as database, database:
            moved = f"name LIKE '{EXPERIMENT}%' AND artifact_location != ?"
            (found,) = database.execute(
                f"SELECT count(*) FROM experiments WHERE {moved}", [self._root]
            ).fetchone()
            if found:
                value = "(SELECT value FROM tags WHERE run_uuid = runs.run_uuid AND key = '{}')"
                kind, key = value.format(PREFIX + "kind"), value.format(PREFIX + "key")
                database.execute(
                    f"UPDATE runs SET artifact_uri = ? || '/' || {kind} || '-' || {key} WHERE "
                    f"experiment_id IN (SELECT experiment_id FROM experiments WHERE {moved})",
                    [self._root, self._root],
                )
                database.execute(
                    f"UPDATE experiments SET artifact_location = ? WHERE {moved}",
                    [self._root, self._root],
                )

    @property
    def _root(self) -> str:
        return self._folders.folder.as_uri()

    # -- pushing ---------------------------------------------------------------------------------

    def pushed(self) -> dict[str, str]:
        """Return MLflow's id of each record that is there, by name."""
        if not self.server and not self.database.exists():
            return {}
        return {line["name"]: line["run_id"] for line in self._pushed.lines() if line["done"]}

    def push(self, name: str, record: Record, folder: Path | None) -> None:
        """Push a record, where it is not there yet.

        Of two machines that made the same record, the one that was finished first counts; the
        other takes it over.
        """
        kind, _, key = name.partition("-")
        ours = [line["run_id"] for line in self._pushed.lines() if line["name"] == name]
        first = self._first(kind, key) if ours or self.server else None
        if first is None:
            for run_id in ours:  # begun by a process that was killed
                self._discard(run_id)
            ours.append(self._create(name, payload(record), record, folder))
            first = self._first(kind, key) if self.server and kind in SHARED else None
        run_id = first.info.run_id if first else ours[-1]
        if run_id not in ours and kind in SHARED:
            self._take(first, name, replace=True)
        self._note(name, run_id, done=True)

    def _discard(self, run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # it may be gone
            self.client.delete_run(run_id)

    def _note(self, name: str, run_id: str, *, done: bool) -> None:
        self._pushed.append({"name": name, "run_id": run_id, "done": done})

    def _create(self, name: str, shown: Payload, record: Any, folder: Path | None) -> str:
        """Make a run with a folder's files as its artifacts; its status FINISHED comes last."""
        from mlflow.entities import Dataset, DatasetInput, Metric, Param

        seconds = folder.stat().st_mtime if folder else _seconds(record.created)
        end = int(seconds * 1000)
        start = end - int(shown.seconds * 1000)
        tags = shown.tags | self._parent_tag(shown)
        run_id = self.client.create_run(
            self._experiment(shown.experiment), start, tags, shown.name
        ).info.run_id
        self._note(name, run_id, done=False)
        metrics = [Metric(name, value, end, step) for name, value, step in shown.metrics]
        params = [Param(name, value) for name, value in shown.params.items()]
        for first in range(0, len(metrics) or len(params[:1]), 900):
            self.client.log_batch(run_id, metrics[first : first + 900], params)
            params = []
        if shown.dataset:
            name, digest = shown.dataset
            dataset = Dataset(name, digest[:36], "local", name)
            self.client.log_inputs(run_id, [DatasetInput(dataset)])
        if folder and self.server:
            self.client.log_artifacts(run_id, str(folder))
        elif folder:
            self._point(run_id, folder)
        self.client.set_terminated(run_id, shown.status, end)
        return str(run_id)

    def _point(self, run_id: str, folder: Path) -> None:
        """Have MLflow show the files where they are: they are on this disk once."""
        with closing(sqlite3.connect(self.database, timeout=60)) as database, database:
            database.execute(
                "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", [folder.as_uri(), run_id]
            )

    def _parent_tag(self, shown: Payload) -> dict[str, str]:
        """Return the tag that nests a run under its parent, if the parent is there."""
        parent = self.pushed().get("-".join(shown.parent)) if shown.parent else None
        return {"mlflow.parentRunId": parent} if parent else {}

    def _experiment(self, short_name: str) -> str:
        """Return the id of an experiment, made where there is none; who pushes holds the lock."""
        name = EXPERIMENT + short_name
        if name not in self._experiments and name not in self._known_experiments():
            folder = None if self.server else self._root
            tags = {"mlflow.experimentKind": "custom_model_development"}
            self._experiments[name] = self.client.create_experiment(name, folder, tags)
        return self._experiments[name]

    def _known_experiments(self) -> dict[str, str]:
        found = self.client.search_experiments(filter_string=f"name LIKE '{EXPERIMENT}%'")
        self._experiments = {experiment.name: experiment.experiment_id for experiment in found}
        return self._experiments

    def attach(self, name: str, files: Sequence[Path], place: str) -> bool:
        """Put files beside a record that is there, in a folder; return whether they are."""
        run_id = self.pushed().get(name)
        put = self.client.log_artifact if run_id and not self.error else None
        return put is not None and self.attempt(
            lambda: [put(run_id, str(file), place) for file in files]
        )

    # -- pulling, from a server ------------------------------------------------------------------

    def search(self, kind: str, key: str | None = None) -> Iterator[Any]:
        """Yield finished runs of a kind, or of one key, the earliest to end first."""
        status = {"failure": "= 'FAILED'", "trial": "!= 'RUNNING'"}.get(kind, "= 'FINISHED'")
        wanted = [f"tags.`{PREFIX}kind` = '{kind}'", f"attributes.status {status}"]
        wanted += [f"tags.`{PREFIX}key` = '{key}'"] if key else []
        experiments, token = list(self._known_experiments().values()), None
        while experiments:
            page = self.client.search_runs(
                experiments,
                " AND ".join(wanted),
                max_results=PAGE,
                order_by=["attributes.end_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _first(self, kind: str, key: str) -> Any:
        return next(self.search(kind, key), None)

    def pull(self, kind: str, keys: Collection[str] | None = None, tag: str = "key") -> None:
        """Bring the finished records of a kind that a server has and this folder lacks.

        Args:
            kind: Of the records.
            keys: Which; None: all.
            tag: What `keys` are: the records' own, or for failures `run_key`.
        """
        if self.server and not self.error:
            self.attempt(lambda: self._pull(kind, keys, tag))

    def _pull(self, kind: str, keys: Collection[str] | None, tag: str) -> None:
        if keys is not None and tag == "key":
            keys = {key for key in keys if not self._folders.has(kind, key)}
        if keys is not None and not keys:
            return
        few = keys if keys is not None and tag == "key" and len(keys) <= FEW else [None]
        for run in (run for key in few for run in self.search(kind, key)):
            tags = run.data.tags
            name = f"{kind}-{tags[PREFIX + 'key']}"
            if keys is not None and tags[PREFIX + tag] not in keys:
                continue
            if self._folders.has(kind, tags[PREFIX + "key"]):
                continue
            if kind == "run":  # its record names its choice
                self._pull("choice", [tags[PREFIX + "choice_key"]], "key")
            if self._take(run, name):
                self._note(name, run.info.run_id, done=True)

    def openings(self) -> list[dict[str, str]]:
        """Return the tags of all openings that a server has, without their prefix."""
        found: list[Any] = []
        if self.server and not self.error:
            self.attempt(lambda: found.extend(self.search("opening")))
        cut = len(PREFIX)
        return [
            {name[cut:]: value for name, value in run.data.tags.items() if name.startswith(PREFIX)}
            for run in found
        ]

    def _take(self, run: Any, name: str, *, replace: bool = False) -> bool:
        """Fetch a run's files as a record; return False where it has none."""
        draft = self._folders.draft()
        try:
            self.client.download_artifacts(run.info.run_id, "", str(draft))
            if not (draft / RECORD_FILE).is_file():
                return False
            ended = (run.info.end_time or 0) / 1000
            os.utime(draft, (ended, ended))
            return self._folders.finish(draft, name, replace=replace)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _reason(error: Exception) -> str:
    """Return what the operating system said, or else the beginning of what MLflow did."""
    text = str(error).strip()
    found = re.search(r"\[Errno -?\d+\] [\w ]+", text)
    return found.group() if found else (text.splitlines() or [type(error).__name__])[0][:200]


def _seconds(created: str) -> float:
    return datetime.fromisoformat(created).timestamp()
