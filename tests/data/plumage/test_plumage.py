"""Plumage as a dataset: classes, reserved combinations, splits, cache, and what it refuses."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from zslbench.data.plumage import (
    ATTRIBUTE_NAMES,
    ATTRIBUTE_PART,
    GROUPS,
    Part,
    PlumageConfig,
    drawing,
    is_reserved,
    load_plumage,
)
from zslbench.data.plumage.classes import draw_classes, draw_values
from zslbench.data.plumage.config import MOST_CLASSES
from zslbench.data.plumage.drawing import draw_image
from zslbench.data.plumage.draws import Draws
from zslbench.data.types import content_digest
from zslbench.errors import DataError, ZslbenchError
from zslbench.protocol.worlds import final_world, tuning_worlds

TINY = PlumageConfig(classes=8, unseen=2, images_per_class=10)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tiny(cache):
    return load_plumage(TINY, cache)


def birds_of(config):
    return draw_classes(config.classes, config.streams, reserved=config.pretraining)


def test_the_tiny_dataset_is_this_one_everywhere(tiny):
    assert tiny.digest == "987375d523ae890a751262065f3901c036fc81c7ff12fa7410910277d9cf953d"


def test_the_class_table_is_like_cubs(tiny):
    table = tiny.classes
    assert len(set(table.names)) == 8
    assert len(set(table.attribute_names)) == table.raw_attributes.shape[1] == 47
    assert table.attribute_names[0] == "has_crown_color::black"
    np.testing.assert_allclose(np.linalg.norm(table.attributes, axis=1), 1)
    start = 0
    for group in GROUPS:
        shares = table.raw_attributes[:, start : start + len(group.values)]
        start += len(group.values)
        np.testing.assert_array_equal(shares.sum(axis=1), 100)
        assert (shares.max(axis=1) >= 60).all()
        assert (shares.max(axis=1) <= 95).all()
        assert ((shares > 0).sum(axis=1) <= 3).all()


def test_every_attribute_has_the_part_its_name_says():
    for name, part in zip(ATTRIBUTE_NAMES, ATTRIBUTE_PART, strict=True):
        said = name.removeprefix("has_").split("_")[0].split("::")[0].upper()
        assert said == ("SIZE" if part == Part.WHOLE_BIRD else Part(part).name)


def test_the_splits_are_proposed_splits(tiny):
    data = tiny
    splits = data.splits
    everything = np.concatenate([splits.trainval, splits.test_seen, splits.test_unseen])
    np.testing.assert_array_equal(np.sort(everything), np.arange(80))
    np.testing.assert_array_equal(np.bincount(data.train_labels), [0, 0, *[8] * 6])
    tests = data.test_labels.open(lambda: None)
    np.testing.assert_array_equal(np.bincount(tests), [10, 10, *[2] * 6])
    assert not splits.class_splits
    assert set(data.seen) | set(data.unseen) == set(range(8))


def test_worlds_are_cut_from_it(tiny):
    world = final_world(tiny)
    assert world.dataset.inputs[world.train[:3]].shape == (3, 56, 56, 3)
    assert world.dataset.inputs[world.train[:3]].dtype == np.uint8
    assert len(tuning_worlds(tiny, 3)) == 3


def test_masks_and_sampled_values_belong_to_the_images(tiny):
    assert tiny.parts.part_maps.shape == (80, 56, 56)
    assert tiny.parts.sampled.shape == (80, len(GROUPS))
    name = ATTRIBUTE_NAMES.index("has_wing_color::red")
    np.testing.assert_array_equal(tiny.parts.shows(name), tiny.parts.sampled[:, 1] == 2)
    items = np.array([3, 70])
    np.testing.assert_array_equal(
        tiny.parts.mask(name, items), tiny.parts.part_maps[items] == Part.WING
    )
    whole = ATTRIBUTE_NAMES.index("has_size::small")
    np.testing.assert_array_equal(tiny.parts.mask(whole, items), tiny.parts.part_maps[items] > 0)
    shown = np.stack([tiny.parts.shows(k) for k in range(47)])
    np.testing.assert_array_equal(shown.sum(axis=0), len(GROUPS))


def test_more_classes_or_images_move_no_other_image(tiny, cache):
    more = load_plumage(replace(TINY, classes=10, images_per_class=13), cache)
    for name in ("part_maps", "sampled"):
        grown = getattr(more.parts, name).reshape(10, 13, *getattr(more.parts, name).shape[1:])
        few = getattr(tiny.parts, name)
        np.testing.assert_array_equal(grown[:8, :10].reshape(few.shape), few)
    pixels = more.inputs[np.arange(130)].reshape(10, 13, 56, 56, 3)[:8, :10]
    np.testing.assert_array_equal(pixels.reshape(80, 56, 56, 3), tiny.inputs[np.arange(80)])
    np.testing.assert_array_equal(more.classes.raw_attributes[:8], tiny.classes.raw_attributes)


def test_an_image_drawn_singly_is_the_one_drawn_in_parallel(cache):
    config = replace(TINY, images_per_class=20, seed=3)
    drawn = load_plumage(config, cache)
    birds = birds_of(config)
    for item in (0, 63, 64, 159):
        image, values = draw_image(config, birds[item // 20], item // 20, item % 20)
        np.testing.assert_array_equal(drawn.inputs[item], image.pixels)
        np.testing.assert_array_equal(drawn.parts.part_maps[item], image.parts)
        np.testing.assert_array_equal(drawn.parts.sampled[item], values)


def test_everything_depends_on_the_seed(tiny, cache):
    other = load_plumage(replace(TINY, seed=1), cache)
    same = (other.inputs[np.arange(80)] == tiny.inputs[np.arange(80)]).mean()
    assert same < 0.2
    assert (other.splits.test_seen != tiny.splits.test_seen).any()
    assert (other.parts.sampled != tiny.parts.sampled).any()
    assert not {bird.dominant for bird in birds_of(TINY)} & {
        bird.dominant for bird in birds_of(replace(TINY, seed=1))
    }


def test_images_show_values_as_often_as_the_class_says():
    bird = birds_of(TINY)[3]
    streams = TINY.streams.of("percentages")
    drawn = np.array([draw_values(bird.percentages, streams.draws(i)) for i in range(3000)])
    shares = np.concatenate(
        [
            np.bincount(drawn[:, g], minlength=len(group.values)) / 30
            for g, group in enumerate(GROUPS)
        ]
    )
    np.testing.assert_allclose(shares, bird.percentages, atol=4)
    assert (shares[bird.percentages == 0] == 0).all()


@pytest.mark.parametrize("classes", [40, 150])
def test_reserved_combinations_are_never_met(classes):
    for seed in range(200 if classes == 40 else 5):
        birds = birds_of(PlumageConfig(classes=classes, seed=seed))
        assert not any(is_reserved(bird.dominant) for bird in birds)


def test_pretraining_has_reserved_combinations_only():
    for seed in range(20):
        birds = birds_of(PlumageConfig(classes=60, unseen=0, seed=seed, pretraining=True))
        assert all(is_reserved(bird.dominant) for bird in birds)


def test_a_quarter_is_reserved_and_always_the_same():
    draws = Draws(0, "test reserved")
    found = [is_reserved([draws.below(len(group.values)) for group in GROUPS]) for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.25, abs=0.03)
    assert (
        content_digest(found) == "20e34a516712ef1a11537bad234a5f1d7933cf7a12fc91348b5e7b5026e870e7"
    )


def test_classes_differ_in_two_groups_at_least():
    for seed in range(10):
        dominant = np.array([bird.dominant for bird in birds_of(PlumageConfig(seed=seed))])
        differing = (dominant[:, None] != dominant[None]).sum(axis=-1)
        assert differing[~np.eye(len(differing), dtype=bool)].min() >= 2


def test_nearly_equal_combinations_are_passed_over():
    dominant = [bird.dominant for bird in birds_of(PlumageConfig(classes=MOST_CLASSES))]
    but_one = Counter((g, d[:g] + d[g + 1 :]) for d in dominant for g in range(len(GROUPS)))
    assert max(but_one.values()) == 1


def test_every_value_dominates_in_some_seen_class():
    for seed in range(100):
        dominant = np.array([bird.dominant for bird in birds_of(PlumageConfig(seed=seed))[20:]])
        for g, group in enumerate(GROUPS):
            assert len(np.unique(dominant[:, g])) == len(group.values)


def test_pretraining_shares_no_image_with_the_benchmark(cache):
    config = replace(TINY, unseen=0, pretraining=True)
    trained = load_plumage(config, cache)
    assert not len(trained.unseen)
    assert len(trained.splits.trainval) == 64
    tiny = load_plumage(TINY, cache)
    assert (trained.parts.part_maps != tiny.parts.part_maps).any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("bad", "fix"),
    [
        ({"unseen": 80}, "Choose 1 to 79"),
        ({"unseen": 0}, "Choose 1 to 79"),
        ({"classes": MOST_CLASSES + 1}, f"Choose 2 to {MOST_CLASSES}"),
        ({"size": 64}, "Choose 56 or 112"),
        ({"clutter": 101}, "Choose 0 to 100"),
        ({"spurious": -1}, "Choose 0 to 100"),
        ({"images_per_class": 4}, "Choose 5 to"),
        ({"clutter": 0.5}, "Write 50, say"),
        ({"pretraining": 1}, "Write False, say"),
    ],
)
def test_bad_configs_are_refused_with_a_fix(bad, fix):
    with pytest.raises(ZslbenchError, match=fix) as caught:
        PlumageConfig(**bad)
    assert next(iter(bad)) in str(caught.value)


class TestCache:
    config = replace(TINY, images_per_class=5, seed=9)

    def open(self, cache):
        """Open the dataset; return it and whether anything was drawn."""
        done = []
        found = load_plumage(self.config, cache, lambda n, total: done.append((n, total)))
        assert not done or done[-1] == (40, 40)
        return found, bool(done)

    def test_images_are_drawn_once(self, tmp_path):
        first, drawn = self.open(tmp_path / "new" / "cache")
        assert drawn
        second, drawn = self.open(tmp_path / "new" / "cache")
        assert not drawn
        assert first.digest == second.digest

    @pytest.mark.parametrize("file", ["pixels.npy", "parts.npy", "sampled.npy", "digest.txt"])
    @pytest.mark.parametrize("harm", ["flip", "cut", "empty", "remove"])
    def test_what_is_damaged_is_drawn_again(self, tmp_path, file, harm):
        first, _ = self.open(tmp_path)
        expected = first.digest, first.parts.part_maps.copy()
        [path] = tmp_path.glob(f"plumage-*/{file}")
        content = bytearray(path.read_bytes())
        content[-7] ^= 1
        path.unlink()
        kept = {"flip": len(content), "cut": len(content) - 9, "empty": 0}
        if harm != "remove":
            path.write_bytes(content[: kept[harm]])
        again, drawn = self.open(tmp_path)
        assert drawn
        assert again.digest == expected[0]
        np.testing.assert_array_equal(again.parts.part_maps, expected[1])

    def test_what_a_killed_process_left_is_no_hindrance(self, tmp_path):
        self.open(tmp_path)
        [entry] = tmp_path.glob("plumage-*/")
        entry.rename(entry.with_suffix(".part"))
        _, drawn = self.open(tmp_path)
        assert drawn
        assert not entry.with_suffix(".part").exists()

    def test_every_knob_and_the_drawing_version_have_an_entry_of_their_own(
        self, tmp_path, monkeypatch
    ):
        self.open(tmp_path)
        monkeypatch.setattr(drawing, "DRAWING_VERSION", -1)
        again, drawn = self.open(tmp_path)
        assert drawn
        other = load_plumage(replace(self.config, clutter=10), tmp_path)
        assert other.digest != again.digest
        assert len(list(tmp_path.glob("plumage-*/"))) == 3

    def test_images_cannot_be_written_to(self, tmp_path):
        found, _ = self.open(tmp_path)
        with pytest.raises(ValueError, match="read-only"):
            found.inputs[...] = 0

    def test_a_cache_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="ZSLBENCH_CACHE"):
            self.open(tmp_path / "file")
