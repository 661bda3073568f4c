"""`zslbench export`, `verify` and `import`, as a user meets them."""

import io
import json
import lzma
import tarfile

import pytest
from fakes import run_softmax, use_softmax

from zslbench.store import Store
from zslbench.studies import archive
from zslbench.studies.archive import pack, unpack


@pytest.fixture
def lab(monkeypatch, tiny_root, tmp_path):
    """A folder with a bundle of one run, `a.tar.xz`."""
    use_softmax(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZSLBENCH_DATA", str(tiny_root))
    run_softmax(tmp_path / "results", tiny_root, (0,))
    return tmp_path


def test_a_run_goes_from_one_lab_to_another(lab, zslbench):
    assert zslbench("export", "a.tar.xz", "--by", "Lab A")[:2] == (0, "a.tar.xz: 1 runs\n")
    status, out, _ = zslbench("verify", "a.tar.xz", "--json")
    (verdict,) = json.loads(out)["verdicts"]
    assert (status, verdict["status"], verdict["by"]) == (0, "verified", "Lab A")
    words = ("import", "a.tar.xz", "--results", "there")
    assert zslbench(*words)[:2] == (0, "a.tar.xz: 1 runs imported, 0 were here already\n")
    assert zslbench(*words)[:2] == (0, "a.tar.xz: 0 runs imported, 1 were here already\n")
    (mine,), (theirs,) = (Store(lab / name, uri="").runs() for name in ("results", "there"))
    assert mine.record.rules == theirs.record.rules


def test_one_changed_digit_is_named_and_not_imported(lab, zslbench):
    zslbench("export", "a.tar.xz")
    members = unpack(lab / "a.tar.xz")
    name = next(name for name in members if "/run-" in name and name.endswith("record.json"))
    record = json.loads(members[name])
    record["rules"]["validation"]["scores"]["u"] += 0.1
    pack(lab / "a.tar.xz", {**members, name: json.dumps(record).encode()})
    status, out, _ = zslbench("verify", "a.tar.xz")
    assert status == 1
    assert "validation.scores.u: " in out
    assert "1 contradicted" in out
    status, _, err = zslbench("import", "a.tar.xz", "--results", "there")
    assert status == 2
    assert "1 of 1 runs are contradicted, and nothing is imported (softmax on tiny, seed 0" in err
    assert not (lab / "there" / "runs").exists()


def test_runs_whose_data_are_not_here_are_consistent_and_left_out(lab, zslbench, monkeypatch):
    zslbench("export", "a.tar.xz")
    monkeypatch.setenv("ZSLBENCH_DATA", str(lab / "empty"))
    status, out, _ = zslbench("verify", "a.tar.xz")
    assert (status, "1 consistent: " in out) == (0, True)
    status, out, err = zslbench("import", "a.tar.xz", "--results", "there")
    assert (status, out) == (1, "a.tar.xz: 0 runs imported, 0 were here already\n")
    assert "1 runs left out (softmax on tiny, seed 0: its test labels are not here" in err


def sparse():
    """A file of some bytes that says it is of 8 GiB."""
    info = tarfile.TarInfo("ledger.jsonl")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"77777777777\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    return bytes(header) + bytes(1024)


def above():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../outside.json"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: bytes(2**21), "holds more than 1 MiB"),
        (sparse, "holds 'ledger.jsonl', which no archive of ours has"),
        (above, "holds '../../outside.json', which no archive of ours has"),
    ],
    ids=["bomb", "sparse", "above"],
)
@pytest.mark.parametrize("command", ["verify", "import"])
def test_bombs_and_ways_out_are_refused(zslbench, tmp_path, monkeypatch, command, content, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(archive, "LIMIT", 2**20)
    (tmp_path / "b.tar.xz").write_bytes(lzma.compress(content(), preset=0))
    status, _, err = zslbench(command, "b.tar.xz")
    assert (status, said in err) == (2, True), err
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.xz"]
