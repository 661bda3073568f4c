"""`data import`: archives from elsewhere, none of which is trusted, become a folder or nothing."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from datasets import FOREIGN, cub_files, write_tar, write_zip

from zslbench.data.fetch import archives
from zslbench.data.fetch.archives import unpack
from zslbench.errors import DataError


@pytest.fixture
def bring(zslbench, published, tmp_path):
    """Return a function that runs `data import` of a dataset from archives."""

    def call(name, archive=None, splits=published / "xlsa17.zip"):
        words = ["--archive", archive] if archive else []
        root = tmp_path / "data"
        return zslbench("data", "import", name, "--splits", splits, *words, "--data-root", root)

    return call


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def test_cub_is_laid_out_with_its_names_boxes_and_parts(bring, published, data):
    status, out, _ = bring("CUB", published / "CUB_200_2011.tgz")
    assert (status, "PROBLEM" in out) == (0, False)
    assert {path.name for path in (data / "CUB").iterdir()} == {
        "CUB_200_2011", "att_splits.mat", "attributes.txt", "boxes.csv", "parts.csv", "res101.mat",
    }  # fmt: skip
    assert len(list((data / "CUB" / "CUB_200_2011" / "images").glob("*/*.jpg"))) == 144
    named = f"{FOREIGN}/CUB_200_2011/images/class_0"
    boxes = (data / "CUB" / "boxes.csv").read_text().splitlines()
    assert boxes[:2] == ["image_file,x,y,width,height", f"{named}/0.jpg,60.0,27.0,325.0,304.0"]
    parts = (data / "CUB" / "parts.csv").read_text().splitlines()
    assert parts[:4] == [
        "image_file,part,x,y",
        f"{named}/0.jpg,back,1.0,7.5",
        f"{named}/0.jpg,left eye,1.0,7.5",
        f"{named}/1.jpg,left eye,2.0,7.5",  # its back is not visible
    ]


def test_parts_and_boxes_are_those_that_are_scored(bring, published, data):
    import numpy as np
    from PIL import Image

    from zslbench.data.parts import bird_truth

    bring("CUB", published / "CUB_200_2011.tgz")
    Image.new("RGB", (400, 400)).save(data / "CUB/CUB_200_2011/images/class_0/2.jpg")
    truth = bird_truth(data / "CUB", np.array([2]), 200, 12)
    assert truth.names == ("back", "left eye")
    np.testing.assert_allclose(truth.points, [[[1.5, 3.75], [1.5, 3.75]]])
    np.testing.assert_allclose(truth.boxes, [[30, 13.5, 192.5, 165.5]])


def test_splits_alone_are_enough(bring, data):
    assert bring("sun")[0] == 0
    assert {path.name for path in (data / "SUN").iterdir()} == {"att_splits.mat", "res101.mat"}


def test_importing_twice_changes_nothing(bring, published, data):
    bring("AWA2", published / "AwA2-data.zip")
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.is_file()}
    assert bring("AWA2", published / "AwA2-data.zip")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.is_file()} == before


def test_a_file_of_the_users_own_is_not_overwritten(bring, published, data):
    bring("AWA2")
    (data / "AWA2" / "predicates.txt").write_text("mine")
    status, _, err = bring("AWA2", published / "AwA2-data.zip")
    assert status == 2
    assert "AWA2/predicates.txt: is another file than the archive's" in err
    assert not (data / "AWA2" / "Animals_with_Attributes2").exists()


def test_what_is_wrong_with_the_dataset_is_reported_as_verify_does(bring, data, tmp_path):
    files = {k: v for k, v in cub_files().items() if not k.endswith("/class_3/40.jpg")}
    write_tar(tmp_path / "cub.tgz", files)
    status, out, _ = bring("CUB", tmp_path / "cub.tgz")
    assert status == 2
    assert "PROBLEM: " in out
    assert "1 of 144 image files are not below this folder" in out


def test_an_archive_without_cubs_tables_is_refused(bring, data, tmp_path):
    files = {k: v for k, v in cub_files().items() if not k.endswith("part_locs.txt")}
    write_tar(tmp_path / "cub.tgz", files)
    status, _, err = bring("CUB", tmp_path / "cub.tgz")
    assert (status, "cub.tgz: holds no part_locs.txt" in err) == (2, True)
    assert not list(data.iterdir())


@pytest.mark.parametrize(
    ("name", "archive", "splits", "said"),
    [
        ("CUB", "AwA2-data.zip", "xlsa17.zip", "holds no folder images with images. It should be"),
        ("CUB", "CUB_200_2011.tgz", "AwA2-data.zip", "holds no CUB/att_splits.mat. It should be"),
        ("CUB", "absent.tgz", "xlsa17.zip", "absent.tgz: there is no such archive"),
        ("APY", "CUB_200_2011.tgz", "xlsa17.zip", "APY is used without images"),
        ("CUB", "made/CUB/res101.mat", "xlsa17.zip", "is neither a zip nor a tar archive"),
    ],
)
def test_another_archive_is_refused(bring, published, data, name, archive, splits, said):
    status, out, err = bring(name, published / archive, published / splits)
    assert (status, out) == (2, "")
    assert said in err
    assert not data.exists() or not list(data.iterdir())


def member(kind, name="CUB_200_2011/images/a.jpg", target="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def hostile_tar(*members):
    """Return the content of a tar of members, each an info or a name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for each in members:
            info = tarfile.TarInfo(each) if isinstance(each, str) else each
            info.size = 4 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"data"))
    return packed.getvalue()


def hostile_zip(name, mode=0):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "data")
    return packed.getvalue()


def bomb(declared, content=b"\0" * 1000):
    """Return a tar that says that a file has more than it has."""
    info = tarfile.TarInfo("images/a.jpg")
    info.size = declared
    return gzip.compress(info.tobuf() + content)


def header_bomb():
    """Return a tar with an extended header of 64 MB, which tarfile would read into memory."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 64 << 20
    return gzip.compress(info.tobuf() + b"0" * info.size)


HOSTILE = {
    "symbolic link": (hostile_tar(member(tarfile.SYMTYPE)), "a link or a device"),
    "hard link": (hostile_tar(member(tarfile.LNKTYPE)), "a link or a device"),
    "character device": (hostile_tar(member(tarfile.CHRTYPE)), "a link or a device"),
    "pipe": (hostile_tar(member(tarfile.FIFOTYPE)), "a link or a device"),
    "unwanted link": (hostile_tar(member(tarfile.SYMTYPE, "elsewhere")), "a link or a device"),
    "parent": (hostile_tar("../images/a.jpg"), "leads outside"),
    "parent in the middle": (hostile_tar("images/../../a.jpg"), "leads outside"),
    "absolute": (hostile_tar("/images/a.jpg"), "leads outside"),
    "drive": (hostile_tar("C:\\images\\a.jpg"), "leads outside"),
    "backslashes": (hostile_tar("images\\..\\..\\a.jpg"), "leads outside"),
    "parent in zip": (hostile_zip("../images/a.jpg"), "leads outside"),
    "link in zip": (hostile_zip("images/a.jpg", 0o120777), "a link or a device"),
    "device in zip": (hostile_zip("images/a.jpg", 0o020666), "a link or a device"),
    "more than it may": (bomb(4_000_000_000), "unpacks to more than the 3 GB"),
    "less than it says": (bomb(1_000_000), "is damaged"),
    "header of 64 MB": (header_bomb(), "header of a size that none can have"),
    "not a gzip file to its end": (hostile_tar("images/a.jpg")[:-9], "is damaged"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(bring, data, tmp_path, kind):
    content, said = HOSTILE[kind]
    (tmp_path / "archive").write_bytes(content)
    status, out, err = bring("CUB", tmp_path / "archive")
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert list(data.iterdir()) == []
    assert not (tmp_path / "a.jpg").exists()


def test_a_zip_with_overlapping_members_counts_each(tmp_path):
    """Members that share their bytes add up to what they say, not to what they take."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}.jpg", b"\0" * 1_000_000)
    with pytest.raises(DataError, match=r"more than the 0\.01 GB"):
        unpack(path, tmp_path / "out", lambda name: name, 0.01)
    assert path.stat().st_size < 100_000


def test_more_files_than_any_dataset_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MEMBERS", 5)
    write_zip(tmp_path / "many.zip", {f"{number}": "" for number in range(6)})
    with pytest.raises(DataError, match="more than 5 files"):
        unpack(tmp_path / "many.zip", tmp_path / "out", lambda name: name, 1)


@pytest.mark.parametrize(("second", "refused"), [("same", False), ("other", True)])
def test_a_file_that_is_there_twice_must_be_the_same_twice(tmp_path, second, refused):
    write_tar(tmp_path / "twice.tgz", {"a/x.txt": "same", "b/x.txt": second})

    def flat(name):
        return Path(name.name)

    if refused:
        with pytest.raises(DataError, match=r"two files 'x.txt' that differ"):
            unpack(tmp_path / "twice.tgz", tmp_path / "out", flat, 1)
        return
    assert unpack(tmp_path / "twice.tgz", tmp_path / "out", flat, 1) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.txt"]


def test_an_encrypted_zip_is_refused(tmp_path):
    write_zip(tmp_path / "plain.zip", {"a.jpg": "data"})
    content = bytearray((tmp_path / "plain.zip").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(DataError, match="password required"):
        unpack(tmp_path / "locked.zip", tmp_path / "out", lambda name: name, 1)


def test_a_plain_tar_is_read_too(bring, published, data, tmp_path):
    packed = (published / "CUB_200_2011.tgz").read_bytes()
    (tmp_path / "cub.tar").write_bytes(gzip.decompress(packed))
    assert bring("CUB", tmp_path / "cub.tar")[0] == 0


def test_the_real_shape_of_every_source_is_named():
    """Each dataset has a page; each archive an address, a bound, and what is taken of it."""
    from zslbench.data.fetch.sources import find_source

    for name in ("xlsa17", "CUB", "AWA2", "SUN", "APY"):
        source = find_source(name)
        assert source.page.startswith("https://")
        assert not source.url or (source.url.startswith("https://") and source.unpacked > 1)
    assert json.dumps(find_source("CUB").files)
