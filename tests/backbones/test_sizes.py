"""Backbones at other sizes than their own, and files of weights that describe themselves."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from zslbench.backbones.registry import find_backbone
from zslbench.data import provide
from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource
from zslbench.errors import DataError, ZslbenchError
from zslbench.method.conformance import config_of
from zslbench.method.registry import load_method
from zslbench.records import Backbone

TINY = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return timm.create_model(TINY, pretrained=False, num_classes=10).state_dict()


@pytest.fixture
def saved(tmp_path, state):
    """Write the tiny ViT's weights, some of them changed, with metadata."""

    def save(metadata=None, **changes):
        path = tmp_path / "vit.safetensors"
        save_file({**state, **changes}, path, metadata)
        return path

    return save


def test_positions_are_resized_as_timm_does(saved, state):
    source = find_backbone(TINY, saved(), 112)
    assert (source.size, source.grid, source.record.image_size) == (112, 7, 112)
    vit = source.build()
    assert (vit.size, vit.grid) == (112, 7)
    expected = resample_abs_pos_embed(state["pos_embed"], [7, 7], num_prefix_tokens=1)
    torch.testing.assert_close(vit.vit.pos_embed.data, expected, rtol=0, atol=0)
    with torch.no_grad():
        assert vit(torch.zeros(1, 3, 112, 112)).shape == (1, 50, 192)


@pytest.mark.parametrize(
    ("name", "size", "grid"),
    [
        ("random:vit_tiny_patch16_224", 48, 3),
        ("random:vit_tiny_patch16_224", None, 14),
        ("random:vit_small_patch14_dinov2", 98, 7),
        ("random:efficientvim_m1", 256, 4),
        ("random:vmamba_tiny_224", 96, 3),
        ("random:clip:ViT-B-16", 96, 6),
        ("plumage_vit", 56, 7),
        ("random:plumage_clip", None, 7),
    ],
)
def test_the_grid_is_known_before_a_network_is_built(name, size, grid):
    source = find_backbone(name, None, size)
    assert source.grid == grid
    assert size in (None, source.size)
    assert source.record.image_size in (None, size)


def test_its_own_size_is_no_other_backbone():
    assert (
        find_backbone(f"random:{TINY}", None, 224).record == find_backbone(f"random:{TINY}").record
    )


def test_a_pair_of_open_clips_is_resized(tmp_path):
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 24, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "sized-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "sized-clip.json")
    own = find_backbone("random:clip:sized-clip").build().clip.state_dict()
    save_file({key: value.contiguous() for key, value in own.items()}, tmp_path / "w.safetensors")
    pair = find_backbone("clip:sized-clip", tmp_path / "w.safetensors", 48).build()
    assert (pair.size, pair.grid) == (48, 6)
    positions = own["visual.positional_embedding"]
    expected = resample_abs_pos_embed(positions[None], [6, 6], num_prefix_tokens=1)[0]
    torch.testing.assert_close(pair.clip.visual.positional_embedding.data, expected)


@pytest.mark.parametrize(
    ("name", "size", "fix"),
    [
        (TINY, 200, "squares of 16 px, and 200 is no multiple of 16. Name 192 or 208"),
        ("random:vit_small_patch14_dinov2", 9, "Name 14"),
        ("random:vmamba_tiny_224", 100, "Name 96 or 128"),
        ("random:clip:ViT-B-16", 100, "Name 96 or 112"),
        ("plumage_vit", 112, "takes images of 56 px alone"),
    ],
)
def test_a_size_that_patches_do_not_tile_is_refused_with_the_nearest(name, size, fix):
    with pytest.raises(ZslbenchError, match=fix):
        find_backbone(name, None, size)


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        (
            "svip",
            {"image_size": 144},
            r"the 9 x 9 patches.* at 144 px.* even.*80 \(5 x 5\).*or 160 \(10 x 10\)",
        ),
        ("svip", {"image_size": 112}, "needs word vectors"),
        ("svip_released", {"image_size": 32}, r"M=20, but there are 4 patches.*size 80 \(5 x 5\)"),
        ("coop", {}, "cannot run on"),
        ("vit_attr_head", {"image_size": 100}, "no multiple of 16"),
    ],
)
def test_what_a_method_cannot_use_is_refused_before_images_are_decoded(
    monkeypatch, method, given, said
):
    monkeypatch.setattr(provide, "load_dataset", lambda *_: pytest.fail("decoded"))
    request = DataRequest("CUB", Path(), backbone="random:vit_tiny_patch16_224", **given)
    cls = load_method(method)
    config = config_of(cls, {"M": 20 if "svip" in method else 4})
    with pytest.raises(ZslbenchError, match=said):
        DataSource(request).for_method(method, cls, config)


# ------------------------------------------------------- weights of another architecture


def test_layer_scales_that_the_network_lacks_are_refused(saved):
    gammas = {f"blocks.{n}.ls{k}.gamma": torch.ones(192) for n in range(12) for k in (1, 2)}
    said = r"not the weights of vit_tiny_patch16_224: it has 24 more parameters, 'blocks.0.ls1"
    with pytest.raises(ZslbenchError, match=said):
        find_backbone(TINY, saved(**gammas))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("vit_tiny_patch16_384", None),
        ("vit_small_patch16_224", r"\(1, 1, 192\) there and \(1, 1, 384\) here"),
        ("vit_small_patch14_dinov2", "its patches are of 16 px, not of 14"),
    ],
)
def test_weights_of_another_network_are_refused_with_the_likeliest(saved, asked, said):
    if said is None:  # the same network at another size
        assert find_backbone(asked, saved()).size == 384
        return
    with pytest.raises(ZslbenchError, match=f"{said}.*most likely vit_tiny_patch16_224"):
        find_backbone(asked, saved())


def test_arrays_of_another_network_are_refused(tmp_path, state):
    heads = ("head.weight", "head.bias", "pos_embed")
    own = sum(value.numel() for name, value in state.items() if name not in heads)
    beside = {"Transformer/posembed_input/pos_embedding": np.zeros(7), "head/kernel": np.zeros(9)}
    path = tmp_path / "vit.npz"
    np.savez(path, **beside, **{"embedding/kernel": np.zeros(own, np.int8)})
    assert find_backbone(TINY, path).grid == 14
    np.savez(path, **beside, **{"embedding/kernel": np.zeros(own + 192, np.int8)})
    with pytest.raises(ZslbenchError, match=f"not the weights of {TINY}: it holds {own + 192} num"):
        find_backbone(TINY, path)


def test_a_file_that_names_another_architecture_is_refused(saved):
    path = saved({"architecture": "deit_tiny_patch16_224 (timm)"})
    with pytest.raises(
        ZslbenchError, match=r"metadata name deit_tiny.*likely deit_tiny_patch16_224"
    ):
        find_backbone(TINY, path)


def test_weights_of_no_vit_name_no_likeliest(tmp_path):
    save_file({"conv.weight": torch.ones(2, 2)}, tmp_path / "w.safetensors")
    with pytest.raises(ZslbenchError, match=r"it lacks \d+ parameters.*Name the --backbone"):
        find_backbone(TINY, tmp_path / "w.safetensors")


# ------------------------------------------------------------ what files and users tell

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("metadata", "given", "mean", "exposure"),
    [
        (None, {}, HALF, "unknown"),
        ({"mean": "0.1 0.2 0.3"}, {}, (0.1, 0.2, 0.3), "unknown"),
        ({"mean": "[0.1, 0.2, 0.3]", "exposure": "21k (ImageNet)"}, {}, (0.1, 0.2, 0.3), "21k"),
        ({"mean": "0.1 0.2 0.3"}, {"mean": (0, 0, 1)}, (0, 0, 1), "unknown"),
        ({"exposure": "21k"}, {"exposure": "web"}, HALF, "web"),
    ],
)
def test_input_and_exposure_are_the_files_or_the_users(saved, metadata, given, mean, exposure):
    source = find_backbone(TINY, saved(metadata), **given)
    assert (source.mean, source.deviation, source.record.exposure) == (mean, HALF, exposure)
    assert source.record.mean == (None if mean == HALF else mean)  # what the name says is no news
    assert source.record.std is None


@pytest.mark.parametrize(("word", "known"), [("yes", True), ("no", False)])
def test_the_file_says_whether_seen_classes_trained_it(saved, word, known):
    record = find_backbone(TINY, saved({"fine_tuned": word})).record
    assert (record.fine_tuned, "fine_tuned" in record.identity) == (known, known)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mean": (123, 116, 103)}, "--mean .*three numbers in 0 to 1"),
        ({"mean": (0.5,)}, "three numbers"),
        ({"std": (0, 0.5, 0.5)}, "--std"),
        ({"exposure": "22k"}, "Did you mean '21k'"),
        ({"exposure": "none"}, "no pretraining exposure 'none'"),
    ],
)
def test_what_cannot_be_told_of_weights_is_refused(saved, given, said):
    with pytest.raises(ZslbenchError, match=said):
        find_backbone(TINY, saved(), **given)
    with pytest.raises(ZslbenchError, match="describes a file of weights"):
        find_backbone(f"random:{TINY}", **given)


@pytest.mark.parametrize(
    ("metadata", "said"), [({"std": "58.4 57.1 57.4"}, "std"), ({"fine_tuned": "1"}, "fine_tuned")]
)
def test_metadata_that_cannot_be_are_refused_with_the_file(saved, metadata, said):
    with pytest.raises(DataError, match=rf"vit\.safetensors: its metadata: {said}"):
        find_backbone(TINY, saved(metadata))


def test_convolutions_are_padded_as_the_file_says(saved, monkeypatch):
    made, create = [], timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, pad_type="", **given: made.append(pad_type)
        or create(name, **given),
    )  # fmt: skip
    find_backbone(TINY, saved({"pad_type": "same (TensorFlow)"})).build()
    assert set(made) == {"same"}


def test_only_what_is_adjusted_is_in_the_identity():
    plain = Backbone(name="a", weights_digest="b", exposure="web")
    assert plain.identity == {"name": "a", "weights_digest": "b"}
    other = plain.model_copy(update={"image_size": 98, "std": HALF})
    assert other.identity == {**plain.identity, "image_size": 98, "std": [*HALF]}
    assert (plain.title, other.title) == ("a", "a at 98 px")
