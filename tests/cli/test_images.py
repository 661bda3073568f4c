"""Images from end to end: a folder of photos, backbones, features, the methods, the birds."""

import json

import numpy as np
import pytest
from PIL import Image

from zslbench.backbones.registry import find_backbone
from zslbench.data.cache import decode
from zslbench.data.formats.items import locate_images, read_items
from zslbench.data.load import DataRequest, load_dataset
from zslbench.method import TrainSet
from zslbench.method.conformance import config_of
from zslbench.method.registry import load_method

BACKBONE = "random:vit_tiny_patch16_224"
CLASSES = ("wren", "robin", "finch", "crow", "gull", "swan", "owl", "lark")


@pytest.fixture
def photos(tmp_path, zslbench):
    """A data root with `photos`: eight classes of eight coloured pictures."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 60, (40, 48, 3)) + 20 * number
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"photos/{name}/{i}.png")
    lines = ["class," + ",".join(f"has_a{k}" for k in range(10))]
    lines += [",".join([name, *map(str, rng.integers(0, 100, 10))]) for name in CLASSES]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    root = tmp_path / "data"
    status, _, err = zslbench(
        "data", "build", "birds", "--images", tmp_path / "photos",
        "--attributes", tmp_path / "table.csv", "--data-root", root,
    )  # fmt: skip
    assert status == 0, err
    return root


@pytest.mark.slow
def test_svip_runs_on_photos_with_a_random_start_and_says_what_that_means(
    zslbench, photos, tmp_path
):
    status, out, err = zslbench(
        "run", "svip", "--dataset", "birds", "--data-root", photos, "--images",
        tmp_path / "photos", "--backbone", BACKBONE, "--words", "random", "--worlds", 1,
        "--seeds", 0, "--set", "epochs=1", "--set", "batch_size=16", "--results", tmp_path / "r",
    )  # fmt: skip
    assert status == 0, err
    assert "RANDOM START: LITTLE MORE THAN CHANCE" in out
    assert "RANDOM WORD VECTORS" in out
    assert "final world, seed 0: 1/1" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["svip"], "Choose as backbone"),
        (["svip", "--backbone", BACKBONE], "needs word vectors"),
        (
            ["svip", "--dataset", "plumage", "--backbone", BACKBONE],
            "choose a backbone of that size",
        ),
        (["eszsl", "--backbone", "vit_tiny_patch16_22"], "Did you mean"),
        (["vit_attr_head", "--image-size", "48"], "--image-size: it is of a backbone"),
        (["eszsl", "--std", "1", "1", "1"], "--std: it is of a backbone"),
        (["eszsl", "--exposure", "web"], "--exposure: it is of a backbone"),
        (["vit_attr_head", "--backbone", BACKBONE, "--image-size", "50"], "Name 48 or 64"),
    ],
)
def test_what_images_lack_is_said_in_one_paragraph(zslbench, photos, tmp_path, words, said):
    given = ["run", *words, "--data-root", photos]
    if "--dataset" not in words:
        given += ["--dataset", "birds", "--images", tmp_path / "photos"]
    status, out, err = zslbench(*given, "--results", tmp_path / "r")
    assert status == 2
    assert said in err
    assert out == ""


def released_checkpoint(path, attributes=47, width=64):
    """Save what the authors' code of SVIP would, the plain ViT's own head among it."""
    import torch
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    vit = VisionTransformer(
        img_size=56, patch_size=8, embed_dim=width, depth=1, num_heads=1, num_classes=attributes
    )  # fmt: skip
    layers = {
        "head_1": (attributes, width), "token_cls.0": (512, width), "token_cls.2": (1, 512),
        "v2p": (width, 300), "p2t": (1, attributes),
    }  # fmt: skip
    state = vit.state_dict()
    for name, shape in layers.items():
        state |= {f"{name}.weight": torch.randn(shape), f"{name}.bias": torch.randn(shape[0])}
    torch.save({"epoch": 14, "network": state}, path)
    return path


def test_a_released_checkpoint_of_svip_is_replayed_by_its_published_rule(zslbench, tmp_path):
    words = ["run", "svip_released", "--dataset", "plumage:classes=12,unseen=4,images_per_class=10"]
    words += ["--words", "random", "--worlds", 1, "--rules", "published", "--json"]
    path = released_checkpoint(tmp_path / "svip.pth")
    status, out, err = zslbench(*words, "--checkpoint", path, "--results", tmp_path / "r")
    assert status == 0, err
    (row,) = json.loads(out)["rows"]
    assert (row["method"], row["rule"]) == ("svip_released", "published")
    assert row["seeds"] == [0], "a replay involves no chance"
    assert "checkpoint:svip.pth" in json.dumps(row)
    other = released_checkpoint(tmp_path / "other.pth", attributes=40)
    status, out, err = zslbench(*words, "--checkpoint", other, "--results", tmp_path / "r")
    assert status != 0
    assert "these have 47 attributes" in err
    assert "Traceback" not in err


def test_features_of_a_backbone_are_a_file_that_eszsl_runs_on(zslbench, photos, tmp_path):
    status, out, err = zslbench(
        "features", "--dataset", "birds", "--data-root", photos, "--images",
        tmp_path / "photos", "--backbone", BACKBONE, "--json",
    )  # fmt: skip
    assert status == 0, err
    facts = json.loads(out)
    assert (facts["images"], facts["features"]) == (64, 192)
    status, out, err = zslbench(
        "run", "eszsl", "--dataset", "birds", "--data-root", photos, "--results", tmp_path / "r",
        "--features", "random_vit_tiny_patch16_224",
    )  # fmt: skip
    assert status == 0, err
    assert "features:random_vit_tiny" in out


@pytest.mark.parametrize("states", ["when extracted", "when used"])
def test_nothing_is_tuned_with_a_network_that_knows_the_validation_classes(
    zslbench, photos, tmp_path, states
):
    """Neither on its features, whose file says so, nor on images; and nothing is written."""
    given, path = ["--dataset", "birds", "--data-root", photos], tmp_path / "f.mat"
    network = ["--images", tmp_path / "photos", "--backbone", BACKBONE]
    flag = ["--fine-tuned"]
    made = flag if states == "when extracted" else []
    status, _, err = zslbench("features", *given, *network, *made, "--out", path)
    assert status == 0, err
    used = [] if made else flag
    for words in (["eszsl", "--features", path, *used], ["vit_attr_head", *network, *flag]):
        status, out, err = zslbench("run", *words, *given, "--results", tmp_path / "r")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert f"{words[0]} cannot be tuned on birds with" in err
        assert "a method on images that fine-tunes its backbone in each validation split" in err
        assert not (tmp_path / "r").exists()


def test_features_at_another_size_go_anywhere_and_are_read_from_there(zslbench, photos, tmp_path):
    given = ["--dataset", "birds", "--data-root", photos]
    path = tmp_path / "elsewhere" / "f.mat"
    seen = ["--images", tmp_path / "photos", "--backbone", BACKBONE, "--image-size", 48]
    status, _, err = zslbench("features", *given, *seen, "--out", path)
    assert status == 0, err
    assert not list(photos.glob("birds/*vit*"))
    status, out, err = zslbench(
        "run", "eszsl", *given, "--features", path, "--results", tmp_path / "r"
    )
    assert status == 0, err
    assert "features:f " in out
    status, _, err = zslbench("features", *given, *seen, "--out", tmp_path / "f.npy")
    assert (status, "features are written as .mat" in err) == (2, True)
    status, _, err = zslbench("run", "eszsl", *given, "--features", tmp_path / "absent.mat")
    assert (status, "there is no such feature file" in err) == (2, True)


def test_a_sheet_shows_birds_and_their_parts(zslbench, tmp_path):
    out = tmp_path / "sheet.png"
    status, said, err = zslbench(
        "data", "sheet", "plumage:classes=6,unseen=2,images_per_class=5", "--out", out, "--count", 3
    )
    assert status == 0, err
    assert said.strip() == str(out)
    with Image.open(out) as picture:
        assert picture.width > picture.height > 300


@pytest.mark.slow
def test_methods_on_birds_are_compared_with_a_reference_and_shown_where_they_look(
    zslbench, tmp_path
):
    birds = "plumage:classes=12,unseen=4,images_per_class=10"
    words = ["--dataset", birds, "--methods", "eszsl,vit_attr_head", "--worlds", 1]
    words += ["--seeds", "0,1"]
    status, out, err = zslbench(
        "leaderboard", *words, "--reference", "eszsl", "--results", tmp_path, "--json"
    )
    assert status == 0, err
    assert "run 2 of 4" in err
    board = json.loads(out)
    (comparison,) = board["comparisons"]
    assert (comparison["method"], comparison["seeds"]) == ("vit_attr_head", [0, 1])
    means = {row["method"]: row["intervals"]["h"]["these_classes"]["mean"] for row in board["rows"]}
    difference = comparison["differences"]["h"]["these_classes"]
    assert difference["mean"] == pytest.approx(means["vit_attr_head"] - means["eszsl"])
    assert difference["low"] < difference["mean"] < difference["high"]
    located = {row["method"]: row["localisation"] for row in board["rows"]}
    assert located["eszsl"] == {}
    assert 0 < located["vit_attr_head"]["patch_auc"]["mean"] < 100
    _, out, _ = zslbench("leaderboard", "--reference", "eszsl", "--results", tmp_path)
    assert "minus eszsl" in out
    assert "where methods look" in out
    text = (tmp_path / "leaderboard.md").read_text()
    assert "## paired differences" in text
    assert "## where methods look" in text
    status, _, err = zslbench("leaderboard", "--reference", "svip", "--results", tmp_path)
    assert status == 2
    assert "reference" in err


TOKENS = ["psvma", "svip", "svip_released", "vit_attr_head", "vspcn", "zslvit"]


@pytest.mark.slow
@pytest.mark.parametrize("method", TOKENS)
def test_methods_on_images_train_on_real_photos(zslbench, real_data, tmp_path, method):
    """On the small embedded network, which keeps this to seconds."""
    words = ["--words", "random"] if "word_vectors" in load_method(method).needs else []
    status, out, err = zslbench(
        "run", method, "--dataset", "cub20", "--data-root", real_data, "--backbone", "plumage_vit",
        *words, "--worlds", 1, "--seeds", 0, "--set", "epochs=1", "--results", tmp_path, "--json",
    )  # fmt: skip
    assert status == 0, err
    (row,) = json.loads(out)["rows"]
    assert row["method"] == method
    assert 0 < row["localisation"]["patch_auc"]["mean"] < 100  # of birds in their boxes


@pytest.mark.slow
@pytest.mark.parametrize(("size", "grid"), [(98, 7), (196, 14)])
def test_methods_on_tokens_take_a_step_on_a_real_vit_of_any_size(real_data, tmp_path, size, grid):
    weights = real_data / "backbones" / "vit_small_patch14_saliency.safetensors"
    source = find_backbone("vit_small_patch14_dinov2", weights, size)
    assert source.grid == grid
    files = read_items(real_data / "cub20", real_data / "cub20" / "mobilenetv2.mat", 20).files[:4]
    pixels = decode(locate_images(files, real_data / "cub20"), size, cache_dir=tmp_path)
    table = load_dataset(DataRequest("cub20", real_data, bare=True)).classes.attributes
    words = np.random.default_rng(0).normal(size=(table.shape[1], 8))
    train = TrainSet(
        pixels, np.arange(4), table[:4], word_vectors=words, unseen_attributes=table[4:7],
        backbone=source,
    )  # fmt: skip
    for name in TOKENS:
        method = load_method(name)
        config = config_of(method, {"epochs": 1, "batch_size": 4, "warm_epochs": 0})
        model = method(config, 0)
        (epoch,) = model.fit(method.prepare(train, config))
        assert np.isfinite(list(epoch.losses.values())).all(), name
        scores = model.scores(pixels[np.arange(2)], table)
        assert np.isfinite(scores).all() and scores.shape == (2, 20), name


@pytest.mark.long
def test_the_classics_run_on_features_of_real_photos_beside_a_permutation_control(
    zslbench, real_data, tmp_path
):
    classics = {"dap", "eszsl", "sae", "ale", "devise", "sje", "cada_vae"}
    status, out, err = zslbench(
        "leaderboard", "--methods", ",".join(sorted(classics)), "--dataset", "cub20",
        "--features", "mobilenetv2", "--data-root", real_data, "--worlds", 1, "--seeds", "0",
        "--results", tmp_path, "--json",
    )  # fmt: skip
    assert status == 0, err
    rows = json.loads(out)["rows"]
    assert {row["method"] for row in rows} == classics
    for row in rows:
        t1, control = row["intervals"]["t1"]["these_classes"]["mean"], row["control"]
        print(f"{row['method']:8} T1 {t1:.1f}, 95 % of permutations below "
              f"{control['percentile_95']:.1f}, p = {control['p']:.3f}")  # fmt: skip
        assert control["permutations"] == 200
        assert (control["p"] <= 0.05) == (t1 >= control["percentile_95"])


@pytest.mark.long
def test_svip_trains_on_real_photos_of_full_size(zslbench, real_data, tmp_path):
    status, out, err = zslbench(
        "run", "svip", "--dataset", "cub20", "--data-root", real_data, "--backbone", BACKBONE,
        "--words", "random", "--worlds", 1, "--seeds", 0, "--set", "epochs=1",
        "--results", tmp_path,
    )  # fmt: skip
    assert status == 0, err
    assert "RANDOM START" in out


@pytest.mark.slow
def test_svip_is_varied_beside_the_papers_best(zslbench, photos, tmp_path):
    status, out, err = zslbench(
        "sensitivity", "svip", "--dataset", "birds", "--data-root", photos, "--images",
        tmp_path / "photos", "--backbone", BACKBONE, "--words", "random", "--worlds", 1,
        "--seeds", 0, "--set", "epochs=1", "--set", "batch_size=16", "--grid", "M=10",
        "--results", tmp_path / "r", "--json",
    )  # fmt: skip
    assert status == 0, err
    (curve,) = json.loads(out)["curves"]
    assert [point["value"] for point in curve["points"]] == [10, 40]
    assert curve["optimum"] == 40
    page = next((tmp_path / "r" / "sensitivity").glob("*.md")).read_text()
    assert "40 (default, paper's best)" in page
    assert "RANDOM WORD VECTORS" in page
