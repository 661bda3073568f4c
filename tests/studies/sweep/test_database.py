"""Where a sweep's study is kept."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from servers import Postgres, running

from zslbench.studies.sweep.storage import _database

AT_ONCE = 8


def opened_at_once(url):
    """Let several open a new database at the same moment; return what they see in it."""
    barrier = Barrier(AT_ONCE)

    def studies(_):
        barrier.wait()
        return _database(url).get_all_studies()

    with ThreadPoolExecutor(AT_ONCE) as shells:
        return list(shells.map(studies, range(AT_ONCE)))


def test_a_new_database_is_opened_by_several_at_once(tmp_path):
    for number in range(3):
        assert opened_at_once(f"sqlite:///{tmp_path / str(number)}.db") == [[]] * AT_ONCE


@pytest.mark.slow
def test_a_new_database_of_postgresql_is_opened_by_several_at_once():
    with running(Postgres()) as server:
        for name in ("one", "two", "three"):
            assert opened_at_once(server.database(name)) == [[]] * AT_ONCE
