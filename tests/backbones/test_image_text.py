"""Image-text pairs: the micro pair, and open_clip's opened up without moving a number."""

import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from zslbench.backbones import clip_pair, image_text
from zslbench.backbones.pretrain.pair import best_patches
from zslbench.backbones.registry import find_backbone
from zslbench.data.descriptions import load_descriptions
from zslbench.data.plumage import PlumageConfig
from zslbench.data.plumage.classes import draw_classes
from zslbench.data.plumage.dataset import _class_table
from zslbench.errors import ZslbenchError

TOLD = ["a photo of a bird with red crown color, striped wing pattern.", "bird with large size"]
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 24, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module", autouse=True)
def tiny_model(tmp_path_factory):
    """Teach open_clip a model small enough for a test."""
    path = tmp_path_factory.mktemp("models") / "tiny-clip.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)


def pair_of(name):
    torch.manual_seed(0)
    return find_backbone(name).build().eval()


@pytest.fixture(scope="module", params=["random:plumage_clip", "random:clip:tiny-clip"])
def pair(request, tiny_model):
    return pair_of(request.param)


@torch.inference_mode()
def test_both_towers_meet_in_one_space(pair):
    images = torch.randn(3, 3, pair.size, pair.size)
    pooled, patches = pair.image_features(images)
    assert pooled.shape == (3, pair.width)
    assert patches.shape == (3, pair.grid**2, pair.width)
    assert_close(pair(images), torch.cat([pooled[:, None], patches], dim=1))
    texts = pair.text_features(TOLD)
    assert texts.pooled.shape == (2, pair.width)
    assert texts.tokens.shape == (*texts.words.shape, pair.width)
    assert float(pair.logit_scale.detach()) == pytest.approx(1 / 0.07)


@torch.inference_mode()
def test_a_sentence_does_not_depend_on_the_others(pair):
    together, alone = pair.text_features(TOLD), pair.text_features(TOLD[1:])
    assert_close(together.pooled[1:], alone.pooled)
    length = alone.words.shape[1]
    assert_close(together.tokens[1:, :length], alone.tokens)
    assert together.words[1, length:].sum() == 0


@torch.inference_mode()
def test_many_sentences_are_read_in_pieces_and_equal_ones_once(pair, monkeypatch):
    expected = pair.text_features(TOLD).pooled
    monkeypatch.setattr(image_text, "BATCH", 1)
    read, tower = [], pair.text_features

    def reading(piece):
        read.append(piece)
        return tower(piece)

    monkeypatch.setattr(pair, "text_features", reading)
    found = pair.sentence_features([TOLD[1], TOLD[0], TOLD[1]])
    assert_close(found, expected[[1, 0, 1]], rtol=1e-4, atol=1e-5)
    assert read == [[TOLD[1]], [TOLD[0]]]


@torch.inference_mode()
def test_words_are_all_tokens_between_start_and_end(pair):
    ids = pair.tokenise(TOLD)
    words = pair.text_features(TOLD).words
    assert words.sum(dim=1).tolist() == [int((row != 0).sum()) - 2 for row in ids]
    assert not words[:, 0].any()


@torch.inference_mode()
def test_the_text_tower_is_causal(pair):
    """What stands before the end of a shorter sentence is the same as in a longer one."""
    short, long = pair.text_features(["bird with red wing"]), pair.text_features(
        ["bird with red wing color"]
    )  # fmt: skip
    assert_close(short.tokens[:, :5], long.tokens[:, :5])
    assert (short.pooled - long.pooled).abs().max() > 1e-4


@torch.inference_mode()
def test_open_clip_gives_the_same_numbers():
    pair = pair_of("random:clip:tiny-clip")
    images = torch.randn(4, 3, 32, 32)
    assert_close(pair.image_features(images).pooled, pair.clip.encode_image(images))
    assert_close(pair.text_features(TOLD).pooled, pair.clip.encode_text(pair.tokenise(TOLD)))
    pair.clip.visual.output_tokens = True
    _, tokens = pair.clip.visual(images)
    assert_close(pair.image_features(images).patches, tokens @ pair.clip.visual.proj)


def test_the_micro_pair_reads_every_description_of_plumage():
    streams = PlumageConfig().streams
    table = _class_table(draw_classes(200, streams, reserved=False))
    pair = pair_of("random:plumage_clip")
    for source in ("names", "attributes"):
        sentences = load_descriptions(source, table, "bird").sentences.ravel().tolist()
        assert len(pair.tokenise([f"a photo of a {text}." for text in sentences])) == len(sentences)


def test_the_best_patch_of_every_word_is_what_counts():
    """Against a loop in float64."""
    pair = pair_of("random:plumage_clip")
    patches = torch.randn(3, 49, pair.width)
    with torch.inference_mode():
        texts = pair.text_features(TOLD)
        found = best_patches(patches, texts)

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    for image, places in enumerate(unit(patches.double().numpy())):
        for number, tokens in enumerate(unit(texts.tokens.double().numpy())):
            cosines = tokens[texts.words[number].numpy()] @ places.T
            assert found[image, number].item() == pytest.approx(cosines.max(axis=1).mean())


@pytest.mark.parametrize(
    ("name", "sentence", "said"),
    [
        ("random:plumage_clip", "bird with purple crown", "does not know the word 'purple'"),
        ("random:plumage_clip", "bird " * 95, "at most 94 words here, this has 95"),
        ("random:clip:tiny-clip", "bird " * 30, "32 tokens, the text tower reads at most 24"),
    ],
)
def test_a_sentence_that_cannot_be_read_is_refused(name, sentence, said):
    with pytest.raises(ZslbenchError, match=said):
        pair_of(name).tokenise([sentence])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plumage_clipp", "Did you mean 'plumage_clip'"),
        ("clip:ViT-B-61", "Did you mean 'ViT-B-16'"),
        ("clip:ViT-B-16.laion400m_e23", "Did you mean 'laion400m_e32'"),
        ("clip:ViT-B-16", "names no weights.*openai.*--weights"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(name, said):
    with pytest.raises(ZslbenchError, match=said):
        find_backbone(name)


def test_without_open_clip_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(clip_pair, "find_spec", lambda name: None)
    with pytest.raises(ZslbenchError, match=r"pip install 'zslbench\[clip\]'"):
        find_backbone("clip:ViT-B-16.openai")


def test_weights_that_no_hub_gives_are_asked_for_as_a_file(monkeypatch):
    def fail(*args, **settings):
        raise OSError("the hub is away")

    monkeypatch.setattr(open_clip, "create_model", fail)
    source = find_backbone("clip:ViT-B-16.openai")
    assert source.record.exposure == "web"
    assert source.record.weights_digest == "open_clip:ViT-B-16.openai"
    with pytest.raises(RuntimeError, match=r"the hub is away.*--weights.*random:clip:ViT-B-16"):
        source.build()


def test_a_local_file_is_loaded_and_one_of_another_size_refused(tmp_path):
    pair = pair_of("random:clip:tiny-clip")
    state = {key: value.contiguous() for key, value in pair.clip.state_dict().items()}
    save_file(state, tmp_path / "tiny.safetensors")
    source = find_backbone("clip:tiny-clip", tmp_path / "tiny.safetensors")
    again = source.build()
    assert all(torch.equal(v, state[k]) for k, v in again.clip.state_dict().items())
    assert len(source.record.weights_digest) == 64
    save_file({**state, "ln_final.weight": torch.ones(9)}, tmp_path / "other.safetensors")
    with pytest.raises(ZslbenchError, match=r"weights are not available.*ln_final"):
        find_backbone("clip:tiny-clip", tmp_path / "other.safetensors").build()


def test_a_convolutional_clip_is_not_opened_up():
    clip = open_clip.CLIP(
        16, {"layers": (1, 1, 1, 1), "width": 8, "image_size": 32}, TINY["text_cfg"]
    )
    with pytest.raises(ValueError, match="only CLIPs with a ViT"):
        clip_pair.ClipPair(clip, None)
