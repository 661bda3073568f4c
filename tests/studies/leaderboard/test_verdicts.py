"""Paper versus ours: what a published number is held against, and why not."""

import io
from dataclasses import replace

import pytest

from zslbench.report.writers import markdown, terminal
from zslbench.stats import METRICS, Interval
from zslbench.stats.permutation import Control
from zslbench.studies.leaderboard.results import Leaderboard
from zslbench.studies.leaderboard.rows import Row
from zslbench.studies.leaderboard.tables import other_tables
from zslbench.studies.leaderboard.verdicts import TEST_IMAGES, verdict, verdicts
from zslbench.studies.published.numbers import Published


def row_of(**changes):
    """A row of ours with every metric at 50, between 48 and 52."""
    interval = {"these_classes": Interval(50, 48, 52), "new_classes": Interval(50, 30, 70)}
    row = Row(
        dataset="CUB", method="eszsl", label="", settings={}, backbone="features:res101",
        exposure="1k", words="", descriptions="", rule="validation", seeds=(0,),
        tuning_worlds=3,
        chosen={"gamma": 0.5}, intervals=dict.fromkeys(METRICS, interval), t1_best=50.0,
        control=Control(0.01, 9.0, 200),
        plain_h=40.0, oracle_h=51.0, openings=1, marks=(), commits=("c",), seconds=1.0,
        test_images=(1764, 2967), localisation={}, evidence=None,
    )  # fmt: skip
    return replace(row, **changes)


def published_of(**changes):
    published = Published(
        method="ESZSL", venue="ICML", year=2015, backbone="ResNet-101", pretraining="1k",
        dataset="CUB", t1=50.0, u=50.0, s=50.0, h=50.0, variant="", source="here",
        selected_on_test="no", notes=(),
    )  # fmt: skip
    return replace(published, **changes)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (47.9, "below"),
        (47.95, "within interval"),
        (50.0, "within interval"),
        (52.05, "within interval"),
        (52.1, "above"),
    ],
)
def test_a_published_value_is_held_against_our_interval(value, word):
    found = verdict(row_of(), published_of(t1=value))
    assert found.words["t1"] == word
    assert not found.obstacles


OBSTACLES = [
    ({"dataset": "cub20"}, {}, "dataset is not the real one"),
    ({"test_images": (10, 20)}, {}, "dataset is not the real one"),
    ({"backbone": "features:mobilenetv2"}, {}, "other backbone (ResNet-101, ours features:mobile"),
    ({}, {"backbone": "ViT-B/16"}, "other backbone"),
    ({"backbone": "vmamba_small_224.in1k"}, {"backbone": "VMamba-S"}, "other backbone (VMamba-S"),
    ({"exposure": "21k"}, {}, "pretraining differs or is unknown (1k, ours 21k)"),
    ({"exposure": "unknown"}, {"pretraining": "unknown"}, "pretraining differs or is unknown"),
    ({}, {"selected_on_test": "yes"}, "published value selected on test"),
    ({"marks": ("selected on test",), "rule": "published"}, {}, "our value selected on test"),
    ({}, {"notes": ("crops possible",)}, "possibly on crops"),
    ({}, {"notes": ("trains on unseen attributes",)}, "published value transductive"),
    ({}, {"notes": ("448 px in training and 224 px in test",)}, "trained at 448 pixels"),
    ({}, {"notes": ("448 px",)}, "published value at 448 pixels"),
    ({}, {"notes": ("trained without the validation classes",)}, "without the validation classes"),
    ({}, {"notes": ("settings of the dataset's own",)}, "settings of the dataset's own"),
    ({}, {"notes": ("backbone fine-tuned on seen classes",)}, "fine-tuned on seen classes"),
    ({}, {"notes": ("classes described by sentences",)}, "classes described by sentences"),
    ({}, {"notes": ("first version of the Proposed Splits",)}, "first version of the Proposed"),
    ({}, {"notes": ("suspect: U and S perhaps swapped",)}, "suspect: U and S perhaps swapped"),
    ({"descriptions": "attributes"}, {"notes": ("reads class names",)}, "names, ours attributes"),
    ({"marks": ("trains on unseen attributes",)}, {}, "our value transductive"),
    ({"marks": ("per-image accuracy",)}, {}, "our value is per-image accuracy"),
    ({"settings": {"reg_x": 1.0}}, {}, "our settings are not the defaults (reg_x=1.0)"),
]


@pytest.mark.parametrize(("ours", "theirs", "reason"), OBSTACLES, ids=lambda x: str(x)[:40])
def test_what_does_not_compare_says_why(ours, theirs, reason):
    found = verdict(row_of(**ours), published_of(**theirs))
    assert set(found.words.values()) == {"not comparable"}
    (obstacle,) = found.obstacles
    assert reason in obstacle


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("per-image accuracy for U, S and H", "published value is per-image accuracy"),
        ("no calibration", "published value not calibrated"),
        ("seen scores times 0.95", "published value has seen scores times 0.95"),
    ],
)
def test_some_obstacles_leave_t1_comparable(note, reason):
    found = verdict(row_of(), published_of(notes=(note,)))
    assert found.words["t1"] == "within interval"
    assert {found.words[m] for m in ("u", "s", "h")} == {"not comparable"}
    assert found.obstacles == [f"U, S, H: {reason}"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"rule": "published", "marks": ("selected on test",)}, {"selected_on_test": "yes"}),
        ({"rule": "published", "marks": ("selected on test",)}, {"selected_on_test": "unknown"}),
        ({}, {"selected_on_test": "unknown"}),
        ({"chosen": {"gamma": 0.0}}, {"notes": ("no calibration",)}),
        ({"backbone": "deit_base_patch16_224.fb_in1k"}, {"backbone": "ViT-B/16"}),
        ({"dataset": "cub"}, {}),
        ({"descriptions": "names"}, {"notes": ("reads class names",)}),
        ({"backbone": "vmamba_small_448.in1k"}, {"backbone": "VMamba-S"}),
        ({"backbone": "clip:ViT-B-16.openai"}, {"backbone": "CLIP ViT-B/16"}),
        (
            {"marks": ("trains on unseen attributes",)},
            {"notes": ("trains on unseen attributes",)},
        ),
    ],
)
def test_what_compares_has_no_obstacle(ours, theirs):
    found = verdict(row_of(**ours), published_of(**theirs))
    assert set(found.words.values()) == {"within interval"}


def test_generative_methods_are_transductive_on_both_sides():
    """They train their classifier on features made from unseen attributes, ours as well."""
    ours = row_of(method="cada_vae", marks=("trains on unseen attributes",))
    obstacles = [text for found in verdicts(ours) for text in found.obstacles]
    assert obstacles
    assert not any("transductive" in text for text in obstacles)


def test_cn_zsl_on_resnet_features_of_awa1_is_held_against_its_notebook():
    row = row_of(method="cn_zsl", dataset="AWA1", test_images=TEST_IMAGES["AWA1"])
    _, notebook = verdicts(row)
    assert "notebook" in notebook.published.source
    assert notebook.words["t1"] == "above"
    assert {notebook.words[m] for m in ("u", "s", "h")} == {"not comparable"}


def test_only_what_is_printed_gets_a_verdict():
    assert set(verdict(row_of(), published_of(u=None, s=None)).words) == {"t1", "h"}


@pytest.mark.parametrize(
    ("method", "dataset", "count"),
    [("eszsl", "CUB", 3), ("vit_attr_head", "awa2", 1), ("svip", "SUN", 3),
     ("zeromamba", "SUN", 1), ("clip_zero_shot", "CUB", 1), ("coop", "CUB", 1),
     ("eszsl", "cub20", 0), ("nearest_prototype", "CUB", 0)],
)  # fmt: skip
def test_counterparts_are_of_the_method_itself_on_its_dataset(method, dataset, count):
    found = verdicts(row_of(method=method, dataset=dataset))
    assert len(found) == count
    assert all(not each.published.variant for each in found)


CLIP = {"backbone": "clip:ViT-B-16.openai", "exposure": "web", "descriptions": "names"}
VMAMBA = {"backbone": "vmamba_small_448.in1k", "rule": "published"}


@pytest.mark.parametrize(
    ("ours", "obstacles"),
    [
        (CLIP | {"method": "clip_zero_shot"}, ["published value not calibrated"]),
        (CLIP | {"method": "coop"}, ["published value not calibrated"]),
        (CLIP | {"method": "coop", "chosen": {"gamma": 0}}, []),
        (
            CLIP | {"method": "coop", "chosen": {"gamma": 0}, "descriptions": "attributes"},
            ["published value reads class names, ours attributes"],
        ),
        (VMAMBA | {"method": "zeromamba"}, []),
        (
            VMAMBA | {"method": "zeromamba", "dataset": "AWA2", "test_images": TEST_IMAGES["AWA2"]},
            ["published value has settings of the dataset's own"],
        ),
    ],
    ids=lambda x: str(x)[-40:],
)
def test_rows_of_pairs_and_maps_are_held_against_like_ones_alone(ours, obstacles):
    (found,) = verdicts(row_of(**ours))
    assert found.obstacles == obstacles


def test_a_row_called_as_a_published_variant_is_held_against_that():
    ablated = row_of(method="svip", label="w/o JSD", settings={"lambda1": 0.0})
    (found,) = verdicts(ablated)
    assert found.published.variant == "w/o JSD"
    assert not any("our settings" in text for text in found.obstacles)
    (first, *_) = verdicts(row_of(method="svip", label="M = 10", settings={"M": 10}))
    assert not first.published.variant
    assert any("our settings are not the defaults (M=10)" in text for text in first.obstacles)


def test_every_table_shows_paper_versus_ours_where_there_is_a_counterpart():
    from rich.console import Console

    board = Leaderboard([row_of()])
    text = markdown(board.document())
    assert "## paper versus ours" in text
    assert "53.94<br>[48.0, 52.0]<br>above" in text
    assert "U, S, H: published value not calibrated" in text
    console = Console(file=io.StringIO(), width=132)
    for part in terminal(board.document(), console.width):
        console.print(part, markup=False)
    assert "paper versus ours" in console.file.getvalue()
    assert other_tables(Leaderboard([row_of(dataset="cub20")])) == []
