"""`data fetch`: from a host to a verified folder; what hosts do wrong ends in one paragraph."""

import hashlib
import json

import pytest
from servers import free_port

ARCHIVE = "CUB_200_2011.tgz"


@pytest.fixture
def fetch(zslbench, tmp_path):
    """Return a function that runs `data fetch` into a folder of its own."""
    return lambda *words: zslbench("data", "fetch", *words, "--data-root", tmp_path / "data")


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "images", "named"),
    [("cub", 144, True), ("AWA2", 144, True), ("SUN", 144, False), ("apy", 0, False)],
)
def test_a_dataset_is_fetched_and_verified(host, fetch, zslbench, data, name, images, named):
    status, out, err = fetch(name, "--json")
    (found,) = json.loads(out)["datasets"]
    assert (status, found["problems"]) == (0, [])
    assert found["name"] == name.upper()
    assert found["facts"]["images"] == images
    assert found["facts"]["attribute_names"] == named
    assert found["facts"]["features"] == ["res101"]
    assert "downloading xlsa17.zip (MB)" in err
    assert {path.name for path in data.iterdir()} == {name.upper(), ".archives"}
    status, out, _ = zslbench("data", "list", "--data-root", data)
    assert (status, out) == (0, f"{name.upper()}\n")


def test_xlsa17_is_the_splits_and_features_of_five_datasets(host, fetch, data):
    status, out, _ = fetch("xlsa17")
    assert (status, out.count("PROBLEM")) == (0, 0)
    assert {p.name for p in data.iterdir()} == {".archives", "CUB", "AWA1", "AWA2", "SUN", "APY"}
    assert [name for name, _ in host.asked] == ["xlsa17.zip"]


def test_images_are_added_to_a_folder_that_has_splits(host, fetch, data):
    fetch("xlsa17")
    (data / "CUB").rename(data / "cub")
    (data / "cub" / "notes.md").write_bytes(b"mine")
    status, out, _ = fetch("CUB")
    assert (status, "images           144" in out) == (0, True)
    assert (data / "cub" / "notes.md").read_bytes() == b"mine"
    assert not (data / "CUB").exists()
    assert [name for name, _ in host.asked] == ["xlsa17.zip", ARCHIVE]


def test_a_transfer_that_broke_off_resumes(host, fetch, data):
    content = host.files[ARCHIVE]
    host.breaks[ARCHIVE] = 1500
    assert fetch("CUB")[0] == 0
    assert [w for name, w in host.asked if name == ARCHIVE] == [None, "bytes=1500-"]
    assert (data / ".archives" / ARCHIVE).read_bytes() == content


def test_the_next_command_goes_on_where_the_last_ended(host, moved, fetch, data):
    part = data / ".archives" / f".{ARCHIVE}.part"
    content = host.files[ARCHIVE]
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:1000])
    part.with_name(f"{part.name}.etag").write_text(f'"{hash(content)}"')
    assert fetch("CUB")[0] == 0
    assert (ARCHIVE, "bytes=1000-") in host.asked
    assert everything(data / ".archives") == [".lock", ARCHIVE, "SHA256SUMS", "xlsa17.zip"]


@pytest.mark.parametrize("kept", [None, '"of another version"'])
def test_a_part_of_another_version_is_not_gone_on_with(host, fetch, data, kept):
    part = data / ".archives" / f".{ARCHIVE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else")
    if kept:
        part.with_name(f"{part.name}.etag").write_text(kept)
    assert fetch("CUB")[0] == 0
    assert (data / ".archives" / ARCHIVE).read_bytes() == host.files[ARCHIVE]


def test_a_part_that_is_whole_is_not_asked_for_again(host, fetch, data):
    part = data / ".archives" / f".{ARCHIVE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(host.files[ARCHIVE])
    part.with_name(f"{part.name}.etag").write_text(f'"{hash(host.files[ARCHIVE])}"')
    assert fetch("CUB")[0] == 0


def test_a_host_without_ranges_is_read_from_the_start_again(host, fetch, data):
    host.ranges = False
    host.breaks[ARCHIVE] = 1000
    assert fetch("CUB")[0] == 0
    assert (data / ".archives" / ARCHIVE).read_bytes() == host.files[ARCHIVE]


def test_the_digest_is_recorded_and_checked_after(host, fetch, data):
    assert fetch("APY")[0] == 0
    archive = data / ".archives" / "xlsa17.zip"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (archive.parent / "SHA256SUMS").read_text() == f"{digest}  xlsa17.zip\n"
    archive.unlink()
    assert fetch("APY")[0] == 0
    assert (archive.parent / "SHA256SUMS").read_text() == f"{digest}  xlsa17.zip\n"


@pytest.mark.parametrize("damage", ["unlink", "overwritten"])
def test_a_changed_file_is_refused(host, fetch, data, damage):
    fetch("APY")
    archive = data / ".archives" / "xlsa17.zip"
    archive.unlink() if damage == "unlink" else archive.write_bytes(b"bits have flipped")
    host.files["xlsa17.zip"] += b"more"
    status, out, err = fetch("AWA2")
    assert (status, out) == (2, "")
    assert "is not the file it was" in err
    assert "results on other data" in err
    assert not (data / "AWA2").exists()


def test_an_archive_that_was_damaged_on_disk_is_fetched_again(host, fetch, data):
    fetch("APY")
    archive = data / ".archives" / "xlsa17.zip"
    archive.write_bytes(b"bits have flipped")
    assert fetch("AWA2")[0] == 0
    assert archive.read_bytes() == host.files["xlsa17.zip"]


def test_a_file_that_is_gone_is_one_paragraph(host, fetch, data):
    del host.files[ARCHIVE]
    status, out, err = fetch("CUB")
    assert (status, out) == (2, "")
    for said in (
        f"{host.address}/{ARCHIVE}: cannot be downloaded (HTTP status 404)",
        "see https://www.vision.caltech.edu/datasets/cub_200_2011/",
        "sources.toml",
        "zslbench data import",
    ):
        assert said in err
    assert not (data / "CUB").exists()


def test_a_host_that_is_away_is_one_paragraph(moved, fetch, data):
    moved(f"http://127.0.0.1:{free_port()}")
    status, out, err = fetch("CUB")
    assert (status, out) == (2, "")
    assert "cannot be downloaded (ConnectionError)" in err
    assert "Traceback" not in err


def test_a_host_that_breaks_off_for_good_says_what_is_kept(host, fetch, monkeypatch):
    monkeypatch.setattr("zslbench.data.fetch.download.MB", 1000)
    monkeypatch.setattr("zslbench.data.fetch.download.TRIES", 1)
    host.breaks[ARCHIVE] = 2500
    status, _, err = fetch("CUB")
    assert status == 2
    assert "The first 2 MB are kept: the same command resumes from there." in err
    assert fetch("CUB")[0] == 0
    assert (ARCHIVE, "bytes=2500-") in host.asked


def test_a_page_in_place_of_an_archive_is_refused(host, fetch, data):
    host.files["xlsa17.zip"] = b"<!DOCTYPE html><title>This site has moved</title>"
    status, _, err = fetch("APY")
    assert status == 2
    assert "is no archive (it begins with b'<!DOCTYPE html>" in err
    assert everything(data / ".archives") == [".lock"]


def test_a_dataset_that_nobody_publishes_is_refused(fetch):
    status, _, err = fetch("CUBS")
    assert status == 2
    assert "Did you mean 'CUB'?" in err


def test_who_lacks_a_published_dataset_is_told_how_to_get_it(zslbench, data):
    words = ("run", "eszsl", "--dataset", "cub", "--data-root", data)
    assert "get one with zslbench data fetch" in zslbench(*words)[2]
    data.mkdir()
    assert "zslbench data fetch xlsa17" in zslbench(*words)[2]
    assert "fetch" not in zslbench(*words[:3], "crows", *words[4:])[2]
