"""Where records live: an outbox on disk that never waits, and MLflow, the one store of records."""

from zslbench.tracking.find import find_run
from zslbench.tracking.outbox import Outbox
from zslbench.tracking.store import Store, Stored, StoredSequence, SyncReport

__all__ = ["Outbox", "Store", "Stored", "StoredSequence", "SyncReport", "find_run"]
