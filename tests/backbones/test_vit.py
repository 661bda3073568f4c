"""Opened-up ViTs and where their weights come from."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from zslbench.backbones.registry import find_backbone
from zslbench.backbones.vit import OpenViT
from zslbench.errors import ZslbenchError

TINY = "vit_tiny_patch16_224"


def test_open_vit_gives_timms_tokens():
    vit = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0).eval()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(OpenViT(vit).eval()(images), vit.forward_features(images))


def test_behind_frozen_blocks_patches_go_on_as_timms_own_blocks_take_them():
    """As timm's blocks, one by one; the class token starts anew, from the mean colour."""
    whole = find_backbone("plumage_vit").build().eval()
    split = find_backbone("plumage_vit", frozen_blocks=2).build().eval()
    images = torch.randn(2, 3, whole.size, whole.size, generator=torch.Generator().manual_seed(0))
    vit, mean_colour = whole.vit, torch.zeros_like(images)
    with torch.no_grad():
        first = [vit.blocks[:2](whole.tokens(whole.embed(each))) for each in (images, mean_colour)]
        anew = torch.cat([first[1][:, :1], first[0][:, 1:]], dim=1)
        torch.testing.assert_close(split.embed(images), first[0][:, 1:])
        torch.testing.assert_close(split(images), vit.norm(vit.blocks[2:](anew)))
        torch.testing.assert_close(split(split.embed(images)), split(images))


def test_frozen_blocks_get_no_gradient_and_those_behind_do():
    split = find_backbone("plumage_vit", frozen_blocks=4).build().train()
    split(torch.randn(2, 3, split.size, split.size)).sum().backward()
    assert all(parameter.grad is None for parameter in split.first.parameters())
    assert all(parameter.grad is not None for parameter in split.vit.parameters())
    assert len(split.vit.blocks) == 2


@pytest.mark.parametrize(
    ("name", "frozen", "said"),
    [
        ("plumage_vit", 6, "plumage_vit has 6 blocks. Freeze 1 to 5"),
        ("plumage_vmamba", 2, "no plain ViT"),
        ("plumage_clip", 2, "no plain ViT"),
    ],
)
def test_blocks_that_cannot_be_frozen_are_refused(name, frozen, said):
    with pytest.raises(ZslbenchError, match=said):
        find_backbone(name, frozen_blocks=frozen)


def test_weights_that_cannot_be_had_are_refused_with_both_mends(monkeypatch):
    def no_hub(*_, **__):
        raise OSError("offline")

    monkeypatch.setattr(timm, "create_model", no_hub)
    with pytest.raises(ZslbenchError, match=r"--weights.*random:vit_tiny_patch16_224"):
        find_backbone("vit_tiny_patch16_224").build()


def test_random_start_is_had_only_by_name_and_is_marked():
    assert find_backbone("random:vit_tiny_patch16_224").record.exposure == "none"


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_small_patch16_18x2_224"])
def test_vits_that_are_not_plain_are_refused(name):
    with pytest.raises(ZslbenchError, match="Choose another ViT"):
        find_backbone(f"random:{name}").build()


@pytest.fixture(scope="module")
def tiny_weights():
    return timm.create_model(TINY, pretrained=False, num_classes=10).state_dict()


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "nested.pth"])
def test_local_weights_are_those_of_the_file(tmp_path, tiny_weights, suffix):
    path = tmp_path / f"vit.{suffix}"
    if suffix == "safetensors":
        save_file(tiny_weights, path)
    else:
        torch.save({"model": tiny_weights} if "nested" in suffix else tiny_weights, path)
    source = find_backbone(TINY, path)
    built = source.build().vit.state_dict()
    assert built.keys() == {k for k in tiny_weights if not k.startswith("head")}
    for name, value in built.items():
        torch.testing.assert_close(value, tiny_weights[name], rtol=0, atol=0)
    assert source.record.weights_digest == find_backbone(TINY, path).record.weights_digest
    assert source.record.exposure == "unknown"


def test_weights_that_lack_parameters_are_refused(tmp_path, tiny_weights):
    path = tmp_path / "vit.safetensors"
    save_file({k: v for k, v in tiny_weights.items() if "blocks.3" not in k}, path)
    with pytest.raises(ZslbenchError, match=r"lacks 12 parameters, 'blocks\.3"):
        find_backbone(TINY, path).build()


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_a_pickle_in_a_weights_file_is_not_executed(tmp_path):
    torch.save({"model": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(ZslbenchError, match=r"bomb.pth: cannot be read .* Save tensors alone"):
        find_backbone(TINY, tmp_path / "bomb.pth").build()


@pytest.mark.parametrize(
    ("name", "weights", "fix"),
    [
        ("vit_tiny_patch16_22", None, "Did you mean"),
        (f"{TINY}.no_such_tag", None, "weights of timm's"),
        (TINY, "absent.safetensors", "there is no such file"),
        ("plumage_vit", "some.safetensors", "takes none"),
        (f"random:{TINY}", "some.safetensors", "takes none"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused_with_a_fix(tmp_path, name, weights, fix):
    with pytest.raises(ZslbenchError, match=fix):
        find_backbone(name, weights and tmp_path / weights)


@pytest.mark.parametrize(
    ("name", "exposure", "mean"),
    [
        ("deit_base_patch16_224.fb_in1k", "1k", 0.485),
        ("vit_base_patch16_224.orig_in21k_ft_in1k", "21k", 0.5),
        ("vit_base_patch16_224.augreg_in1k", "1k", 0.5),
        ("plumage_vit", "plumage", 0.5),
    ],
)
def test_a_backbone_brings_its_exposure_and_its_own_statistics(name, exposure, mean):
    source = find_backbone(name)
    assert source.record.exposure == exposure
    assert source.mean[0] == pytest.approx(mean)
