"""timm's convolutional networks as backbones: their maps, sizes, weights and features."""

import numpy as np
import pytest
import timm
import torch
from datasets import SHARED
from safetensors.torch import save_file
from scipy.io import loadmat

from zslbench.backbones.features import Frozen
from zslbench.backbones.registry import find_backbone
from zslbench.errors import ZslbenchError

SMALL = "resnet10t"  # 5 million parameters
REAL = SHARED / "backbones" / "mobilenetv2_imagenet_timm.safetensors"


@pytest.mark.parametrize(
    ("name", "size", "grid"),
    [
        ("random:resnet18", None, 7),
        ("random:resnet101.tv_in1k", 448, 14),
        ("random:mobilenetv2_100", 96, 3),
        ("random:vgg11", 64, 2),
        ("random:convnext_atto", 128, 4),
        ("random:regnetx_002", 224, 7),
    ],
)
def test_any_cnn_ends_in_a_map_whose_grid_is_known_before_it_is_built(name, size, grid):
    source = find_backbone(name, None, size)
    assert (source.ending, source.grid, source.size) == ("map", grid, size or 224)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("random:resnet18", 100, "squares of 32 px.*Name 96 or 128"),
        ("random:mixer_s32_224", None, "no plain ViT and ends in no square map"),
        ("random:inception_v3", 288, "7 x 7 places and not one for 32 px"),
        ("random:resnet_101", None, r"no network of timm's 'resnet_101'. Did you mean 'resnet101'"),
    ],
)
def test_what_ends_in_no_map_or_does_not_tile_images_is_refused(name, size, said):
    with pytest.raises(ZslbenchError, match=said):
        find_backbone(name, None, size)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return timm.create_model(SMALL, pretrained=False, num_classes=5).eval()


@pytest.mark.parametrize("counters", [True, False])
def test_map_and_feature_are_timms_with_the_weights_of_a_file(tmp_path, small, counters):
    """Files from before PyTorch 0.4.1, such as torchvision's ResNets, count no batches."""
    state = {k: v for k, v in small.state_dict().items() if counters or "num_batches" not in k}
    save_file(state, tmp_path / "w.safetensors")
    source = find_backbone(SMALL, tmp_path / "w.safetensors", 64)
    network, images = source.build().eval(), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        found = network(images)
        expected = small.forward_features(images)
        pooled = small.forward_head(expected, pre_logits=True)
    assert found.shape == (2, source.grid**2, network.width)
    for row in range(2):
        for column in range(2):
            torch.testing.assert_close(found[:, 2 * row + column], expected[:, :, row, column])
    torch.testing.assert_close(network.feature(images), pooled)


def test_weights_of_another_cnn_are_refused(tmp_path, small):
    save_file(small.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ZslbenchError, match="not the weights of resnet18: it lacks"):
        find_backbone("resnet18", tmp_path / "w.safetensors")


@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL.name} is not at hand")
def test_real_mobilenet_gives_the_features_that_others_extracted():
    """Up to the noise floor of the uint8 model that they ran, 7 %."""
    from PIL import Image

    source = find_backbone("mobilenetv2_100", REAL)
    assert (source.mean, source.deviation) == ((0.5,) * 3, (0.5,) * 3)
    folder = SHARED / "cub20"
    known = loadmat(folder / "mobilenetv2.mat")
    files = [str(name[0]) for name in known["image_files"][:4].ravel()]
    images = []
    for name in files:
        with Image.open(folder / "CUB_200_2011" / "images" / name.partition("images/")[2]) as photo:
            side = 0.875 * min(photo.size)
            left, top = (photo.width - side) / 2, (photo.height - side) / 2
            box = (left, top, left + side, top + side)
            images.append(np.asarray(photo.convert("RGB").resize((224, 224), box=box)))
    found, theirs = Frozen(source)(np.stack(images)), known["features"].T[:4]
    cosines = (found * theirs).sum(1) / np.linalg.norm(found, axis=1)
    assert (cosines / np.linalg.norm(theirs, axis=1) > 0.96).all()
