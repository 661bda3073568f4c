"""The index and its file: never believed more than the folders, cheap to load and to ask."""

import json
import shutil

import pytest

from zslbench.records import Sweep
from zslbench.store.folders import RunFolders
from zslbench.store.index import Index, IndexEntry
from zslbench.store.journal import Journal


def sweep(key):
    return Sweep(
        key=key, name="s", method="eszsl", dataset="tiny", about={}, created=f"2026-01-0{key}"
    )


@pytest.fixture
def folders(tmp_path):
    folders = RunFolders(tmp_path / "runs")
    for key in "21":
        folders.commit(sweep(key))
    return folders


@pytest.fixture
def file(tmp_path):
    return tmp_path / "index.jsonl"


EXPECTED = [
    IndexEntry("sweep-1", "eszsl", "tiny", "", "2026-01-01"),
    IndexEntry("sweep-2", "eszsl", "tiny", "", "2026-01-02"),
]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\xff\x00 no text",
     b'["sweep-1","eszsl","ti', b'["sweep-9","gone","tiny","",""]\n'],
    ids=["missing", "empty", "damaged", "cut short", "ahead"],
)  # fmt: skip
def test_an_index_is_rebuilt_where_it_is_missing_behind_or_damaged(folders, file, content):
    if content is not None:
        file.write_bytes(content)
    assert Index(file, folders).entries("sweep") == EXPECTED
    assert {line[0] for line in Journal(file).lines()} >= {"sweep-1", "sweep-2"}


def test_records_are_opened_once_for_the_index(folders, file, monkeypatch):
    Index(file, folders).entries("sweep")
    monkeypatch.setattr(RunFolders, "read", lambda *_: 1 / 0)
    assert Index(file, folders).entries("sweep") == EXPECTED


def test_what_another_process_commits_or_removes_is_seen(folders, file):
    mine, other = Index(file, folders), Index(file, folders)
    assert mine.entries("sweep") == EXPECTED
    folders.commit(sweep("3"))
    other.add(sweep("3"))
    shutil.rmtree(folders.path("sweep", "1"))
    assert [entry.key for entry in mine.entries("sweep")] == ["2", "3"]


def test_an_index_of_a_folder_that_cannot_be_written_to_is_read(folders, file, monkeypatch):
    monkeypatch.setattr(Journal, "append", lambda *_: (_ for _ in ()).throw(PermissionError))
    assert Index(file, folders).entries("sweep") == EXPECTED
    assert not file.exists()


def test_a_record_that_cannot_be_read_is_in_the_index_all_the_same(folders, file):
    (folders.path("sweep", "1") / "record.json").write_text("{")
    assert IndexEntry("sweep-1") in Index(file, folders).entries("sweep")


def test_records_of_one_second_are_in_the_order_of_their_commits(tmp_path):
    folders = RunFolders(tmp_path / "runs")
    index = Index(tmp_path / "index.jsonl", folders)
    for key in ("b", "c", "a"):
        record = sweep("1").model_copy(update={"key": key})
        folders.commit(record)
        index.add(record)
    for each in (index, Index(tmp_path / "index.jsonl", folders)):
        assert [entry.key for entry in each.entries("sweep")] == ["b", "c", "a"]


def test_a_line_cut_short_spoils_no_other(tmp_path):
    journal = Journal(tmp_path / "lines.jsonl")
    journal.append({"n": 1})
    with journal.path.open("a") as file:
        file.write('{"n": 2, "cut')
    assert journal.lines() == [{"n": 1}]
    journal.append({"n": 3}, {"n": 4})
    expected = [{"n": 1}, {"n": 3}, {"n": 4}]
    assert journal.lines() == Journal(journal.path).lines() == expected


def test_a_file_put_in_the_place_of_another_is_read_from_its_start(tmp_path):
    journal = Journal(tmp_path / "lines.jsonl")
    journal.append({"n": 1})
    journal.lines()
    (tmp_path / "new").write_text("".join(json.dumps({"n": n}) + "\n" for n in range(5)))
    (tmp_path / "new").rename(journal.path)
    assert len(journal.lines()) == 5
