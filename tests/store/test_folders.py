"""Run folders: whole or not at all, whatever happens in between."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zslbench.errors import DataError
from zslbench.records import Sweep
from zslbench.store.folders import RECORD_FILE, STALE_SECONDS, RunFolders


def sweep(key="k"):
    return Sweep(key=key, name="s", method="eszsl", dataset="tiny", about={})


def commit(folders, record, write=lambda folder: None):
    return folders.commit(record, write)


def hidden(folders):
    return [path.name for path in folders.folder.glob(".*")]


@pytest.fixture
def folders(tmp_path):
    return RunFolders(tmp_path / "results" / "runs")


def test_commit_is_one_rename_of_a_finished_folder(folders, monkeypatch):
    renamed = []

    def rename(self, target, real=Path.rename):
        renamed.append((target.name, {file.name: file.read_bytes() for file in self.iterdir()}))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert commit(folders, sweep(), lambda folder: (folder / "curve.png").write_bytes(b"png"))
    ((name, files),) = renamed
    assert name == "sweep-k"
    assert files == {file.name: file.read_bytes() for file in folders.path("sweep", "k").iterdir()}
    assert set(files) == {RECORD_FILE, "curve.png"}


def test_commit_shows_nothing_before_it_is_finished(folders):
    seen = []
    commit(folders, sweep(), lambda folder: seen.extend(folders.names()))
    assert seen == []
    assert folders.names() == ["sweep-k"]


def test_commit_gives_back_the_record(folders):
    record = sweep()
    commit(folders, record)
    assert folders.read("sweep", "k") == record


def test_second_commit_of_a_key_changes_nothing(folders):
    commit(folders, sweep())
    before = (folders.path("sweep", "k") / RECORD_FILE).read_bytes()
    later = sweep().model_copy(update={"created": "2030-01-01T00:00:00+00:00"})
    assert not commit(folders, later, lambda folder: (folder / "more").touch())
    assert (folders.path("sweep", "k") / RECORD_FILE).read_bytes() == before
    assert [path.name for path in folders.path("sweep", "k").iterdir()] == [RECORD_FILE]
    assert hidden(folders) == []


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("odd"), KeyboardInterrupt()])
def test_failure_while_writing_leaves_nothing(folders, error):
    def write(folder):
        (folder / "half").write_text("half")
        raise error

    with pytest.raises(type(error)):
        commit(folders, sweep(), write)
    assert list(folders.folder.iterdir()) == []


def test_a_folder_never_used_has_no_names_and_is_not_made(folders):
    assert folders.names() == []
    assert not folders.has("sweep", "k")
    assert not folders.folder.exists()


def test_what_is_no_record_has_no_name(folders):
    commit(folders, sweep())
    (folders.folder / "notes-of-mine").mkdir()
    (folders.folder / ".DS_Store").touch()
    assert folders.names() == ["sweep-k"]


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("pid", "host", "age", "stays"),
    [
        (os.getpid, socket.gethostname(), 0, True),
        (os.getpid, socket.gethostname(), STALE_SECONDS + 60, False),
        (ended_process, socket.gethostname(), 0, False),
        (ended_process, "another-host", 0, True),
        (ended_process, "another-host", STALE_SECONDS + 60, False),
    ],
    ids=["being written", "hung", "writer killed", "elsewhere", "elsewhere and old"],
)
def test_clear_removes_a_draft_nobody_writes(folders, pid, host, age, stays):
    commit(folders, sweep())
    draft = folders.folder / f".draft-0123-{pid()}-{host}"
    draft.mkdir()
    os.utime(draft, (time.time() - age,) * 2)
    folders.clear()
    assert draft.exists() == stays
    assert folders.names() == ["sweep-k"]


def test_clear_knows_the_drafts_that_commit_makes(folders):
    code = (
        "import os, sys; from pathlib import Path; from zslbench.store.folders import RunFolders;"
        "from zslbench.records import Sweep;"
        "record = Sweep(key='k', name='s', method='m', dataset='d', about={});"
        "RunFolders(Path(sys.argv[1])).commit(record, lambda folder: os._exit(9))"
    )
    assert subprocess.run([sys.executable, "-c", code, folders.folder], check=False).returncode == 9
    assert len(hidden(folders)) == 1
    folders.clear()
    assert hidden(folders) == []


def test_clear_removes_folders_half_removed_and_never_a_committed_record(folders):
    commit(folders, sweep())
    os.utime(folders.path("sweep", "k"), (0, 0))
    (folders.folder / ".gone-0123" / "deep").mkdir(parents=True)
    folders.clear()
    assert [path.name for path in folders.folder.iterdir()] == ["sweep-k"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\x00", b'{"key": "k"}', sweep().model_dump_json()[:-1].encode()
     + b', "colour": 1}', None],
    ids=["empty", "cut", "no object", "no text", "fields missing", "field unknown", "no file"],
)  # fmt: skip
def test_reading_a_corrupt_record_names_it(folders, content):
    commit(folders, sweep())
    path = folders.path("sweep", "k") / RECORD_FILE
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="no sweep record") as error:
        folders.read("sweep", "k")
    assert error.value.where == str(path)
    assert "zslbench doctor" in error.value.fix


def test_two_commits_at_once_leave_one_record_and_no_draft(folders):
    def commit_another(folder):
        assert commit(folders, sweep())

    assert not commit(folders, sweep(), commit_another)
    assert [path.name for path in folders.folder.iterdir()] == ["sweep-k"]
