"""Rows of task sequences: who stands in one table."""

from collections import Counter
from dataclasses import replace

import pytest
from fakes import centroid_spec, toy_with_source, use_centroid

from zslbench.protocol.limits import STILL_FALLING
from zslbench.protocol.run_tasks import run_tasks
from zslbench.store import StoredIncremental
from zslbench.studies.incremental.plan import write_course
from zslbench.studies.incremental.results import (
    compare_incremental,
    group_incremental,
    incremental_rows,
)
from zslbench.studies.incremental.tables import incremental_tables


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Return a function that runs a method along the tasks of a dataset."""
    use_centroid(monkeypatch)

    def run(data, **settings):
        course = run_tasks(centroid_spec(data, **settings), data, lambda opening: None)
        folder = tmp_path / course.record.key
        folder.mkdir()
        write_course(folder, course)
        return StoredIncremental(course.record, folder)

    return run


def test_a_task_whose_loss_falls_at_its_end_marks_the_row(stored):
    run = stored(toy_with_source())
    losses = {"total": [3.0 * 0.9**epoch for epoch in range(8 * len(run.record.sizes))]}
    falling = replace(run, record=run.record.model_copy(update={"losses": losses}))
    for each, marked in ((run, False), (falling, True)):
        (row,) = incremental_rows(group_incremental([each]), Counter())
        assert (STILL_FALLING in row.marks) is marked
        (table,) = incremental_tables([row], [])
        assert (STILL_FALLING in table.cells[0][0].marks) is marked


def test_data_of_one_name_stand_in_tables_of_their_own(stored):
    one = toy_with_source()
    two = replace(toy_with_source(), digest="0" * 64)
    runs = [stored(data, **how) for data in (one, two) for how in ({}, {"hides": True})]
    groups = group_incremental(runs)
    rows = incremental_rows(groups, Counter())
    assert [row.dataset for row in rows].count(rows[0].dataset) == 2
    assert len({row.table for row in rows}) == 2
    assert all(row.dataset.startswith("toy (data ") for row in rows)
    differences = compare_incremental(groups, "centroid")
    assert sorted(each.table for each in differences) == sorted({row.table for row in rows})
    assert len(incremental_tables(rows, differences)) == 3
