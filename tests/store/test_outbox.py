"""The outbox: whole or not at all, whatever happens in between."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zslbench.errors import DataError
from zslbench.records import Opening
from zslbench.store.outbox import RECORD_FILE, STALE_SECONDS, Outbox, read_record


def opening(key="k"):
    return Opening(key=key, run_key="r", method="eszsl", dataset="tiny", test_digest="d")


def commit(outbox, record, write=lambda folder: None):
    return outbox.commit(record.kind, record.key, record, write)


def hidden(outbox):
    return [path.name for path in outbox.folder.glob(".*")]


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "results" / "outbox")


def test_commit_is_one_rename_of_a_finished_folder(outbox, monkeypatch):
    renamed = []

    def rename(self, target, real=Path.rename):
        renamed.append((target.name, {file.name: file.read_bytes() for file in self.iterdir()}))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert commit(outbox, opening(), lambda folder: (folder / "curve.png").write_bytes(b"png"))
    ((name, files),) = renamed
    assert name == "opening-k"
    assert files == {file.name: file.read_bytes() for file in outbox.path("opening", "k").iterdir()}
    assert set(files) == {RECORD_FILE, "curve.png"}


def test_commit_shows_nothing_before_it_is_finished(outbox):
    seen = []
    commit(outbox, opening(), lambda folder: seen.extend(outbox))
    assert seen == []
    assert [path.name for path in outbox] == ["opening-k"]


def test_commit_gives_back_the_record(outbox):
    record = opening()
    commit(outbox, record)
    assert read_record(outbox.path("opening", "k"), "opening") == record


def test_second_commit_of_a_key_changes_nothing(outbox):
    commit(outbox, opening())
    before = (outbox.path("opening", "k") / RECORD_FILE).read_bytes()
    later = opening().model_copy(update={"created": "2030-01-01T00:00:00+00:00"})
    assert not commit(outbox, later, lambda folder: (folder / "more").touch())
    assert (outbox.path("opening", "k") / RECORD_FILE).read_bytes() == before
    assert [path.name for path in outbox.path("opening", "k").iterdir()] == [RECORD_FILE]
    assert hidden(outbox) == []


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("odd"), KeyboardInterrupt()])
def test_failure_while_writing_leaves_nothing(outbox, error):
    def write(folder):
        (folder / "half").write_text("half")
        raise error

    with pytest.raises(type(error)):
        commit(outbox, opening(), write)
    assert list(outbox.folder.iterdir()) == []


def test_iteration_is_oldest_first(outbox):
    for age, key in ((1, "b"), (3, "c"), (2, "a")):
        commit(outbox, opening(key))
        os.utime(outbox.path("opening", key), (time.time() - age,) * 2)
    assert [path.name[-1] for path in outbox] == ["c", "a", "b"]


def test_iteration_passes_over_what_another_process_takes_away(outbox):
    commit(outbox, opening())
    (outbox.folder / "opening-taken").symlink_to(outbox.folder / "nowhere")
    assert [path.name for path in outbox] == ["opening-k"]


def test_iteration_of_an_outbox_never_used_is_empty(outbox):
    assert list(outbox) == []
    assert not outbox.folder.exists()


def test_remove_is_seen_whole_or_not_at_all(outbox, monkeypatch):
    commit(outbox, opening())
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: None)
    outbox.remove(outbox.path("opening", "k"))
    assert list(outbox) == []
    (left,) = hidden(outbox)
    assert left.startswith(".gone-")


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
def test_sweep_removes_a_draft_nobody_writes(outbox, pid, host, age, stays):
    commit(outbox, opening())
    draft = outbox.folder / f".draft-0123-{pid()}-{host}"
    draft.mkdir()
    os.utime(draft, (time.time() - age,) * 2)
    outbox.sweep()
    assert draft.exists() == stays
    assert [path.name for path in outbox] == ["opening-k"]


def test_sweep_knows_the_drafts_that_commit_makes(outbox):
    code = (
        "import os, sys; from pathlib import Path; from zslbench.store import Outbox;"
        "from zslbench.records import Opening;"
        "record = Opening(key='k', run_key='r', method='m', dataset='d', test_digest='d');"
        "Outbox(Path(sys.argv[1])).commit('opening', 'k', record, lambda folder: os._exit(9))"
    )
    assert subprocess.run([sys.executable, "-c", code, outbox.folder], check=False).returncode == 9
    assert len(hidden(outbox)) == 1
    outbox.sweep()
    assert hidden(outbox) == []


def test_sweep_removes_folders_half_removed_and_never_a_committed_record(outbox):
    commit(outbox, opening())
    os.utime(outbox.path("opening", "k"), (0, 0))
    (outbox.folder / ".gone-0123" / "deep").mkdir(parents=True)
    outbox.sweep()
    assert [path.name for path in outbox.folder.iterdir()] == ["opening-k"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\x00", b'{"key": "k"}', opening().model_dump_json()[:-1].encode()
     + b', "colour": 1}', None],
    ids=["empty", "cut", "no object", "no text", "fields missing", "field unknown", "no file"],
)  # fmt: skip
def test_reading_a_corrupt_record_names_it(outbox, content):
    commit(outbox, opening())
    path = outbox.path("opening", "k") / RECORD_FILE
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="no opening record") as error:
        read_record(path.parent, "opening")
    assert error.value.where == str(path)
    assert "zslbench doctor" in error.value.mend


def test_two_commits_at_once_leave_one_record_and_no_draft(outbox):
    def commit_another(folder):
        assert commit(outbox, opening())

    assert not commit(outbox, opening(), commit_another)
    assert [path.name for path in outbox.folder.iterdir()] == ["opening-k"]
