"""A leaderboard of 2,000 runs among 20,000 tracked ones: whole process, at most 10 s and 1 GiB.

Each kind of record is made once by the commands themselves, on a test set of CUB's size; the others
are copies of its files and of its rows in the database, under keys and settings of their own.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

ZSLBENCH = Path(sys.executable).with_name("zslbench")
RUNS, SEEDS, TRACKED = 2000, 3, 20_000
TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


def zslbench(*words):
    command = [ZSLBENCH, *map(str, words)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


class Copies:
    """Copies of tracked runs: their rows, with ids, tags and folders of their own."""

    def __init__(self, results: Path) -> None:
        self.database = sqlite3.connect(results / "mlflow.db")

    def template(self, kind):
        """Return the id of the first run of a kind, with its rows by table."""
        found = self.database.execute(
            "SELECT run_uuid FROM tags WHERE key = 'zslbench.kind' AND value = ?", [kind]
        )
        run = next(found)[0]
        return run, {table: self.rows(table, run) for table in TABLES}

    def rows(self, table, run) -> list[dict]:
        found = self.database.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", [run])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def add(self, template, changed: Iterator[dict[str, str]]):
        """Write copies; each has an id, and tags to be changed."""
        run, tables = template
        written = {table: [] for table in TABLES}
        for tags in changed:
            new = tags.pop("id", uuid4().hex)
            for table, rows in tables.items():
                for row in rows:
                    copy = {**row, "run_uuid": new}
                    if table == "runs":
                        copy["artifact_uri"] = row["artifact_uri"].replace(run, new)
                    if table == "tags" and row["key"] in tags:
                        copy["value"] = tags[row["key"]]
                    written[table].append(tuple(copy.values()))
        for table, rows in written.items():
            if not rows:
                continue
            places = ", ".join("?" * len(rows[0]))
            self.database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        self.database.commit()
