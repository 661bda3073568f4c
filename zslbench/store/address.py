"""What keeps a tracking URI from ever working: found out before any work, without MLflow."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from zslbench.inputs import recordable

SCHEMES = ("http", "https", "file", "databricks", "postgresql", "mysql", "sqlite", "mssql")


def fault_of_uri(uri: str) -> str | None:
    """Return why a tracking URI can never work, in a sentence; None where it may."""
    say = f"MLFLOW_TRACKING_URI={uri}"
    try:
        parts = urlsplit(uri)
        scheme, host, _ = parts.scheme.partition("+")[0].lower(), parts.hostname, parts.port
    except ValueError as error:
        return f"{say} is no address ({error}). Write one such as http://HOST:5000, or unset it."
    if scheme and scheme not in SCHEMES:
        return (
            f"{say}: MLflow knows no {scheme}://. Write an address such as http://HOST:5000, "
            "or unset it."
        )
    if scheme in ("http", "https") and not host:
        return f"{say} names no host. Write an address such as http://HOST:5000, or unset it."
    return None


def fault_of_database(path: Path) -> str | None:
    """Return why MLflow cannot use a SQLite file of ours, in a sentence; None where it can."""
    if recordable(str(path)) != str(path):
        return f"{path}: the path is no UTF-8 text, and MLflow opens no other. Rename the folder."
    if not path.exists():
        return None
    rest = "Move it away: the next command makes a new one from the run folders."
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path}: it belongs to another user, and cannot be read and written here."
    try:
        uri = f"{path.as_uri()}?mode=rw"  # what a killed process left is rolled back
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as database:
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.OperationalError:  # such as locked by another process: no damage
        return None
    except sqlite3.DatabaseError as error:
        return f"{path}: it is no database, or damaged ({error}). {rest}"
    strange = not {"experiments", "runs", "tags"} <= tables
    return f"{path}: it is a database, but not MLflow's. {rest}" if strange else None
