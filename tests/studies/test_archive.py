"""Archives of studies: what goes in comes out, and nothing that was not put in."""

import io
import lzma
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from zslbench import leaderboard
from zslbench.errors import DataError, ZslbenchError
from zslbench.records import Opening, Sweep
from zslbench.store import Store
from zslbench.studies import archive
from zslbench.studies.archive import members_of, opened, pack, restore, unpack

KEY = "a" * 64
MEMBERS = {"table.json": b"{}", f"runs/sweep-{KEY}/record.json": b"\x00" * 9000}


def store_of(folder, **about):
    store = Store(folder, uri="")
    store.commit(Sweep(key=KEY, name="s", method="eszsl", dataset="tiny", about=about))
    return store


def tar(*infos):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz") as file:
        for info, data in infos:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return content.getvalue()


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return tar((info, b""))


def test_members_come_out_as_they_went_in_and_equal_members_give_equal_bytes(tmp_path):
    one, other = tmp_path / "one.tar.xz", tmp_path / "below" / "other.tar.xz"
    pack(one, MEMBERS)
    pack(other, dict(reversed(MEMBERS.items())))
    assert unpack(one) == MEMBERS
    assert one.read_bytes() == other.read_bytes()
    assert [path.name for path in other.parent.iterdir()] == ["other.tar.xz"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is no archive of runs"),
        (b"no archive", "is no archive of runs"),
        (lzma.compress(b"no tar"), "is no archive of runs"),
        (tar((tarfile.TarInfo("table.json"), b"x" * 9000))[:100], "is no archive of runs"),
        (lzma.compress(b"\x00" * (2**20 + 1)), "holds more than 1 MiB"),
        (member("../table.json"), "holds '../table.json'"),
        (member("/table.json"), "holds '/table.json'"),
        (member(f"runs/run-{KEY}/../../../x.json"), "which no archive of ours has"),
        (member(f"runs/run-{KEY}/run.sh"), "which no archive of ours has"),
        (member("table.json", tarfile.SYMTYPE, "/etc/passwd"), "which no archive of ours has"),
        (member("table.json", tarfile.LNKTYPE, "ledger.jsonl"), "which no archive of ours has"),
        (member("table.json", tarfile.FIFOTYPE), "which no archive of ours has"),
        (member("table.json", tarfile.GNUTYPE_SPARSE), "which no archive of ours has"),
        (tar((tarfile.TarInfo("table.json"), b"1"), (tarfile.TarInfo("table.json"), b"2")),
         "holds a file twice"),
        (tar((tarfile.TarInfo("table.json"), b"x" * 9000))[:-20], "it is cut short"),
    ],
    ids=["empty", "text", "no tar", "cut short", "bomb", "above", "absolute", "out of its folder",
         "a program", "symbolic link", "hard link", "pipe", "sparse", "twice", "end missing"],
)  # fmt: skip
def test_what_no_archive_of_ours_holds_is_refused(tmp_path, monkeypatch, content, what):
    monkeypatch.setattr(archive, "LIMIT", 2**20)
    path = tmp_path / "study.tar.xz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=what):
        unpack(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/home/somebody/svip.pth", "/home/somebody/svip.pth"), ("~/svip.pth", "~/svip.pth"),
        ("OSError: '/tmp/x' is gone", "/tmp/x' is gone"), (r"C:\svip.pth", r"C:\\svip.pth"),
        ("file:/home/me", "/home/me"), ("a,/home/me", "/home/me"), ("[../me", "../me"),
        ("C:/me", "C:/me"), (r"\\server\me", r"\\\\server\\me"),
        ("weights/svip.pth", None), ("https://example.org/a/b", None), ("U / S, and/or H", None),
    ],
)  # fmt: skip
def test_a_record_that_names_a_path_of_this_machine_is_not_published(tmp_path, text, path):
    store = store_of(tmp_path, checkpoint=text)
    if path is None:
        assert len(members_of(store, store.folders.names())) == 1
        return
    with pytest.raises(ZslbenchError, match=re.escape(f"names {path}, a path of this machine")):
        members_of(store, store.folders.names())


def test_a_study_goes_on_elsewhere_and_twice_is_once(tmp_path, monkeypatch):
    here, path = store_of(tmp_path / "here"), tmp_path / "study.tar.xz"
    here.commit(Opening(run_key="r", method="eszsl", dataset="tiny", test_digest="d"))
    (ledger,) = (tmp_path / "here").glob("ledger.jsonl")
    pack(path, members_of(here, here.folders.names()) | {"ledger.jsonl": ledger.read_bytes()})
    there = Store(tmp_path / "there", uri="")
    for _ in range(2):
        restore(path, there)
        assert there.folders.read("sweep", KEY) == here.folders.read("sweep", KEY)
        assert there.openings() == here.openings()
        assert there.ledger() == {("eszsl", "d"): 1}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://nowhere.invalid:1")
    with opened(path) as shown:
        assert shown.mirror.server is None


def test_a_record_under_the_name_of_another_is_refused(tmp_path):
    store = store_of(tmp_path / "here")
    folder = store.folders.path("sweep", KEY)
    shutil.move(folder, folder.with_name(f"sweep-{'b' * 64}"))
    path = tmp_path / "study.tar.xz"
    pack(path, members_of(store, store.folders.names()))
    with pytest.raises(DataError, match="has another record under the name sweep-b"):
        restore(path, Store(tmp_path / "there", uri=""))


@pytest.mark.parametrize(
    ("study", "name"),
    [
        ("real_features", "real_features"),
        ("real_features", "real_features_inflation"),
        ("real_cub87", "real_cub87"),
        ("plumage_features", "plumage_features"),
        ("real_maps", "real_maps"),
        ("plumage_maps", "plumage_maps"),
        ("real_images", "real_images"),
    ],
)
def test_published_page_is_what_its_archive_holds(tmp_path, study, name):
    """Where tables are worded anew: `zslbench leaderboard ARCHIVE --results ITS_FOLDER`."""
    folder = Path(__file__).parents[2] / "results/studies" / study
    leaderboard(suite=folder / f"{name}.tar.xz").save(tmp_path / "page.md")
    assert (tmp_path / "page.md").read_bytes() == (folder / f"{name}.md").read_bytes()
