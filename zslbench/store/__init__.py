"""Where records live: an outbox on disk that never waits, and MLflow, the one store of records."""

from zslbench.store.find import find_run
from zslbench.store.outbox import Outbox
from zslbench.store.store import Store, Stored, StoredIncremental, SyncReport

__all__ = ["Outbox", "Store", "Stored", "StoredIncremental", "SyncReport", "find_run"]
