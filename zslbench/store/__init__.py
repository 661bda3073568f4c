"""Where records live: run folders, which are the truth, and MLflow, which mirrors them."""

from zslbench.store.find import find_run
from zslbench.store.store import Store, Stored, StoredIncremental, SyncReport, counted

__all__ = ["Store", "Stored", "StoredIncremental", "SyncReport", "counted", "find_run"]
