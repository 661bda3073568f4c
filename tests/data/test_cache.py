import json
import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zslbench.data import cache
from zslbench.data.cache import decode, default_cache_dir
from zslbench.errors import DataError

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "cub20" / "CUB_200_2011" / "images"


def draw(path, width=40, height=30, seed=0, mode="RGB", **options):
    """Save smooth random colours, so that resampling and JPEG change little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.convert(mode).save(path, **options)
    return path


@pytest.fixture
def images(tmp_path):
    return [draw(tmp_path / "images" / f"{i}.png", seed=i) for i in range(5)]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def decodings(monkeypatch):
    """Count the images decoded in this process."""
    calls = []
    original = cache.decode_image
    monkeypatch.setattr(cache, "decode_image", lambda *a: calls.append(a[0]) or original(*a))
    return calls


def kept(store):
    return sorted(path.name for path in store.iterdir() if path.suffix in (".u8", ".part"))


def test_decode_gives_batches_of_uint8_in_the_order_asked(images, store):
    pixels = decode(images, 16, cache_dir=store)
    assert len(pixels) == 5
    batch = pixels[np.array([3, 0, 3])]
    assert (batch.shape, batch.dtype, type(batch)) == ((3, 16, 16, 3), np.uint8, np.ndarray)
    assert (batch[0] == batch[2]).all()
    assert (batch[0] != batch[1]).any()


@pytest.mark.parametrize("shape", [(40, 30), (30, 41), (16, 16), (17, 300), (9, 7), (1, 1)])
@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_decode_scales_as_the_field_does(tmp_path, store, shape, fit):
    path = draw(tmp_path / "a.png", *shape)
    image = Image.open(path)
    if fit == "crop":
        shorter = min(shape)
        image = image.resize([16 * side // shorter for side in shape], Image.Resampling.BICUBIC)
        left, top = (round((side - 16) / 2) for side in image.size)
        expected = np.asarray(image)[top : top + 16, left : left + 16]
    else:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC))
    assert (decode([path], 16, fit=fit, cache_dir=store)[0] == expected).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_decode_makes_every_mode_rgb(tmp_path, store, mode):
    path = draw(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), mode=mode)
    expected = Image.open(path).convert("RGB").resize((8, 8), Image.Resampling.BICUBIC)
    assert (decode([path], 8, fit="squash", cache_dir=store)[0] == np.asarray(expected)).all()


def test_decode_ignores_orientation_tags(tmp_path, store):
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [draw(tmp_path / "up.png"), draw(tmp_path / "turned.png", exif=exif)]
    up, turned = decode(paths, 16, cache_dir=store)[:]
    assert (up == turned).all()


def test_decode_finds_the_same_images_again_wherever_they_lie(images, store, tmp_path, decodings):
    pixels = decode(images, 16, cache_dir=store)
    shutil.copytree(tmp_path / "images", tmp_path / "moved")
    moved = decode([tmp_path / "moved" / p.name for p in images], 16, cache_dir=store)
    assert moved.digest == pixels.digest
    assert (moved[:] == pixels[:]).all()
    assert len(decodings) == 5


def test_digest_tells_images_order_size_and_fit_apart(images, store):
    digests = [
        decode(images, 16, cache_dir=store).digest,
        decode(images[::-1], 16, cache_dir=store).digest,
        decode(images[:4], 16, cache_dir=store).digest,
        decode(images, 8, cache_dir=store).digest,
        decode(images, 16, fit="squash", cache_dir=store).digest,
    ]
    assert len(set(digests)) == 5


def test_decode_reads_no_unchanged_file_again(images, store, monkeypatch):
    before = decode(images, 16, cache_dir=store)
    hashed = []
    original = cache._hash_file
    monkeypatch.setattr(cache, "_hash_file", lambda p: hashed.append(p) or original(p))
    decode(images, 16, cache_dir=store)
    assert hashed == []
    draw(images[2], seed=99)
    os.utime(images[2], ns=(0, 0))
    assert decode(images, 16, cache_dir=store).digest != before.digest
    assert hashed == [images[2]]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 3}', "\udcff"])
def test_decode_survives_a_damaged_index(images, store, content):
    digest = decode(images, 16, cache_dir=store).digest
    (store / "files.json").write_text(content, errors="surrogateescape")
    assert decode(images, 16, cache_dir=store).digest == digest
    assert len(json.loads((store / "files.json").read_text())) >= 5


@pytest.mark.parametrize("length", [0, 100, 10**4])
def test_decode_builds_an_entry_of_the_wrong_length_again(images, store, length, decodings):
    whole = decode(images, 16, cache_dir=store)[:].copy()
    entry = store / kept(store)[0]
    os.truncate(entry, length)
    assert (decode(images, 16, cache_dir=store)[:] == whole).all()
    assert len(decodings) == 10


def test_decode_replaces_what_a_killed_process_left(images, store):
    decode(images, 16, cache_dir=store)
    entry = store / kept(store)[0]
    entry.rename(entry.with_suffix(".part"))
    decode(images, 16, cache_dir=store)
    assert kept(store) == [entry.name]


def test_decode_is_the_same_in_processes_and_tells_its_progress(tmp_path, store):
    paths = [draw(tmp_path / f"{i}.jpg", seed=i) for i in range(70)]
    steps = []
    several = decode(
        paths,
        8,
        cache_dir=store,
        workers=2,
        on_progress=lambda done, total: steps.append((done, total)),
    )
    alone = decode(paths, 8, cache_dir=tmp_path / "other", workers=1)
    assert (several[:] == alone[:]).all()
    assert steps == [(32, 70), (64, 70), (70, 70)]


def broken_images(folder):
    """Files that cannot be read, each with the reason to be given."""
    whole = draw(folder / "whole.jpg", 200, 200, seed=7).read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("not an image at all")
    (folder / "empty.png").write_bytes(b"")
    (folder / "folder.jpg").mkdir()
    Image.new("1", (20_000, 10_000)).save(folder / "bomb.png")
    Image.new("I;16", (5, 5)).save(folder / "deep.png")
    (folder / "script.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    )
    Image.new("1", (200_000, 1)).save(folder / "thread.png")
    return {
        "truncated.jpg": "image file is truncated",
        "text.jpg": "not an image",
        "empty.png": "not an image",
        "folder.jpg": "Is a directory",
        "bomb.png": "too many pixels",
        "deep.png": "more than 8 bits",
        "script.jpg": "not an image",
        "thread.png": "too elongated: 200000 x 1",
        "missing.jpg": "missing",
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_decode_reports_all_unreadable_images_at_once_and_keeps_nothing(
    images, store, tmp_path, workers
):
    reasons = broken_images(tmp_path)
    paths = [*images * 7, *(tmp_path / name for name in reasons)]
    with pytest.raises(DataError) as error:
        decode(paths, 32, cache_dir=store, workers=workers)
    message = str(error.value)
    assert message.startswith(f"{tmp_path}: {len(reasons)} of {len(paths)} images cannot be read: ")
    for name, reason in reasons.items():
        assert f"{tmp_path / name} ({reason}" in message
    assert kept(store) == []


def test_decode_names_ten_unreadable_images_and_counts_the_others(store, tmp_path):
    with pytest.raises(DataError) as error:
        decode([tmp_path / f"{i:02}.jpg" for i in range(13)], 8, cache_dir=store)
    assert "09.jpg (missing); and 3 more. " in str(error.value)
    assert "10.jpg" not in str(error.value)


def test_decode_says_that_there_are_no_images(store):
    with pytest.raises(DataError, match="none were given"):
        decode([], 8, cache_dir=store)


def test_decode_says_that_the_cache_cannot_be_written(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="ZSLBENCH_CACHE"):
        decode(images, 8, cache_dir=tmp_path / "file" / "cache")


def test_decode_says_that_the_disk_is_full_and_keeps_nothing(images, store, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        decode(images, 8, cache_dir=store)
    assert kept(store) == []


def _die(*args):
    os._exit(9)


def test_decode_says_that_a_process_was_killed(tmp_path, store, monkeypatch):
    if multiprocessing.get_start_method() != "fork":
        pytest.skip("the patch reaches decoding processes by fork only")
    monkeypatch.setattr(cache, "decode_image", _die)
    paths = [draw(tmp_path / "a.png")] * 40
    with pytest.raises(DataError, match="a decoding process was killed"):
        decode(paths, 8, cache_dir=store, workers=2)
    assert kept(store) == []


def _decode_elsewhere(paths, store, queue):
    queue.put(int(decode(paths, 16, cache_dir=store)[:].sum()))


def test_two_processes_may_prepare_the_same_entry(images, store):
    queue = multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=_decode_elsewhere, args=(images, store, queue))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    sums = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sums == [int(decode(images, 16, cache_dir=store)[:].sum())] * 2
    assert len(kept(store)) == 1


def test_default_cache_dir_obeys_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ZSLBENCH_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("ZSLBENCH_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "zslbench"


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the cub20 photos are not here")
def test_decode_reads_real_photos(store):
    paths = sorted(PHOTOS.glob("*/*.jpg"))[::40]
    pixels = decode(paths, 64, cache_dir=store)
    means = pixels[:].mean(axis=(1, 2, 3))
    assert len(pixels) == len(paths)
    assert ((means > 10) & (means < 245)).all()
