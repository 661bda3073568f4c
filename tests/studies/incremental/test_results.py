"""Rows of task sequences: who stands in one table."""

from collections import Counter
from dataclasses import replace

import pytest
from learning import centroid_spec, toy_with_source, use_centroid

from zslbench.protocol.run_tasks import follow_sequence
from zslbench.store import StoredSequence
from zslbench.studies.incremental.plan import write_course
from zslbench.studies.incremental.results import compare_sequences, group_sequences, sequence_rows
from zslbench.studies.incremental.tables import sequence_grids


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Return a function that runs a learner along the tasks of a dataset."""
    use_centroid(monkeypatch)

    def run(data, **settings):
        course = follow_sequence(centroid_spec(data, **settings), data, lambda opening: None)
        folder = tmp_path / course.record.key
        folder.mkdir()
        write_course(folder, course)
        return StoredSequence(course.record, folder)

    return run


def test_data_of_one_name_stand_in_tables_of_their_own(stored):
    one = toy_with_source()
    two = replace(toy_with_source(), digest="0" * 64)
    runs = [stored(data, **how) for data in (one, two) for how in ({}, {"hides": True})]
    groups = group_sequences(runs)
    rows = sequence_rows(groups, Counter())
    assert [row.dataset for row in rows].count(rows[0].dataset) == 2
    assert len({row.table for row in rows}) == 2
    assert all(row.dataset.startswith("toy (data ") for row in rows)
    differences = compare_sequences(groups, "centroid")
    assert sorted(each.table for each in differences) == sorted({row.table for row in rows})
    assert len(sequence_grids(rows, differences)) == 3
