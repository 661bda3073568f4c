"""VMamba: its sizes, its public layout, its four ways; and EfficientViM in its place."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn.functional import softplus

from zslbench.backbones.embedded import embedded_architecture
from zslbench.backbones.maps import MapBackbone, OpenEfficientViM
from zslbench.backbones.registry import find_backbone
from zslbench.backbones.vmamba import SIZES, SS2D, VMamba, cross_merge, cross_scan
from zslbench.data.load import DataRequest
from zslbench.data.provide import DataSource, UnservedError
from zslbench.errors import ZslbenchError
from zslbench.method.registry import load_method

BIRDS = "plumage:classes=4,unseen=1,images_per_class=5"
SMALL = {"widths": (16, 24), "depths": (1, 2), "expand": 2, "classes": 10}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "millions"),
    [("vmamba_tiny", 30.249), ("vmamba_small", 50.148), ("vmamba_base", 88.558)],
)
def test_sizes_have_the_published_numbers_of_parameters(name, millions):
    with torch.device("meta"):
        network = VMamba(**SIZES[name])
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 3) == millions


def test_names_and_shapes_are_those_of_the_public_release():
    with torch.device("meta"):
        state = VMamba(**SIZES["vmamba_small"]).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    block = "layers.2.blocks.14"
    expected = {
        "patch_embed.0.weight": (48, 3, 3, 3), "patch_embed.2.weight": (48,),
        "patch_embed.5.weight": (96, 48, 3, 3), "patch_embed.7.bias": (96,),
        f"{block}.norm.weight": (384,), f"{block}.norm2.bias": (384,),
        f"{block}.op.in_proj.weight": (768, 384), f"{block}.op.out_proj.weight": (384, 768),
        f"{block}.op.conv2d.weight": (768, 1, 3, 3), f"{block}.op.out_norm.weight": (768,),
        f"{block}.op.x_proj_weight": (4, 26, 768), f"{block}.op.dt_projs_weight": (4, 768, 24),
        f"{block}.op.dt_projs_bias": (4, 768), f"{block}.op.A_logs": (3072, 1),
        f"{block}.op.Ds": (3072,), f"{block}.mlp.fc1.weight": (1536, 384),
        f"{block}.mlp.fc2.bias": (384,), "layers.2.downsample.1.weight": (768, 384, 3, 3),
        "layers.2.downsample.3.weight": (768,), "classifier.norm.weight": (768,),
        "classifier.head.weight": (1000, 768),
    }  # fmt: skip
    assert {name: shapes[name] for name in expected} == expected
    assert not any("layers.3.downsample" in name or "conv2d.bias" in name for name in shapes)


def test_map_has_a_place_for_32_pixels_at_any_size():
    network = VMamba((8, 8, 8, 8), (1, 1, 1, 1), 1).eval()
    with torch.inference_mode():
        assert network(noise(1, 3, 224, 224)).shape == (1, 49, 8)
        assert network(noise(1, 3, 96, 64)).shape == (1, 6, 8)


def test_micro_has_7_by_7_places_and_about_the_parameters_of_the_embedded_vit():
    micro, vit = embedded_architecture("plumage_vmamba"), embedded_architecture()
    sizes = [sum(p.numel() for p in network.parameters()) for network in (micro, vit)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)
    with torch.inference_mode():
        assert micro(noise(2, 3, 56, 56)).shape == (2, 49, micro.width)


# ---------------------------------------------------------------- the four ways


def test_ways_are_rows_and_columns_from_either_end():
    x = torch.arange(6.0).reshape(1, 2, 3, 1)
    ways = cross_scan(x)[..., 0, 0].int().tolist()
    assert ways == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (5, 4)])
def test_merge_puts_every_way_back_in_place(height, width):
    x = noise(2, height, width, 3)
    torch.testing.assert_close(cross_merge(cross_scan(x), height), 4 * x)


def test_scan_of_a_map_equals_a_loop_over_ways_channels_and_places():
    """From the definition, in float64: parameters of each way by name, in the release's layout."""
    op, x = SS2D(8, 2).double(), noise(1, 2, 3, 16, seed=1).double()
    with torch.no_grad():
        op.A_logs.copy_(noise(64, 1, seed=2))
        op.Ds.copy_(noise(64, seed=3))
        found = op.scan(x)[0]
        expected = torch.zeros_like(found)
        columns = [(r, c) for c in range(3) for r in range(2)]
        rows = [(r, c) for r in range(2) for c in range(3)]
        for way, places in enumerate([rows, columns, rows[::-1], columns[::-1]]):
            state = torch.zeros(16, dtype=torch.float64)
            for r, c in places:
                here = x[0, r, c]
                low = op.x_proj_weight[way] @ here
                delta = softplus(op.dt_projs_weight[way] @ low[:1] + op.dt_projs_bias[way])
                rate = -op.A_logs[16 * way : 16 * way + 16, 0].exp()
                state = torch.exp(delta * rate) * state + delta * low[1] * here
                expected[r, c] += low[2] * state + op.Ds[16 * way : 16 * way + 16] * here
    torch.testing.assert_close(found, expected)


def test_every_place_sees_every_other_in_one_block():
    op = SS2D(8, 1)
    x = noise(1, 5, 5, 8).requires_grad_()
    op.scan(x)[0, 0, 4].sum().backward()
    assert (x.grad.abs().sum(-1) > 0).all()


def test_gradients_reach_every_parameter():
    network = VMamba(**SMALL)
    network.classifier_head(network.feature(noise(2, 3, 32, 32))).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


# ---------------------------------------------------------------- weights


@pytest.fixture
def small(monkeypatch):
    """A tiny network under the name of the small one, and its state."""
    monkeypatch.setitem(SIZES, "vmamba_small", SMALL)
    return VMamba(**SMALL).state_dict()


def released(state):
    """The layout of the release: in a dict, and pointwise layers as convolutions or not."""
    pointwise = ("in_proj.weight", "out_proj.weight", "fc1.weight", "fc2.weight")
    return {"model": {n: v[..., None, None] if n.endswith(pointwise) else v
                      for n, v in state.items()}, "epoch": 222}  # fmt: skip


@pytest.mark.parametrize("form", ["released", "bare", "safetensors"])
def test_weights_of_the_release_load(tmp_path, small, form):
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(small, path)
    else:
        torch.save(released(small) if form == "released" else small, path)
    source = find_backbone("vmamba_small_224.in1k", path)
    assert (source.size, source.ending, source.record.exposure) == (224, "map", "1k")
    for name, value in source.build().state_dict().items():
        torch.testing.assert_close(value, small[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("layers.1.blocks.0.op.Ds"), "lacks 1 parameters, 'layers.1.bl"),
        (lambda s: s.update(extra=torch.ones(1)), "has 1 more parameters, 'extra'"),
        (lambda s: s.update({"patch_embed.0.bias": torch.ones(5)}), r"embed.0.bias is \(5,\)"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_size_is_refused(tmp_path, small, change, said):
    change(small)
    torch.save({"model": small}, tmp_path / "w.pth")
    with pytest.raises(ZslbenchError, match=said):
        find_backbone("vmamba_small_224", tmp_path / "w.pth").build()


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_a_pickle_in_a_checkpoint_is_not_executed(tmp_path):
    torch.save({"model": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(ZslbenchError, match="without executing code"):
        find_backbone("vmamba_tiny_224", tmp_path / "bomb.pth").build()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "vmamba_small_224",
            "Download vssm_small_0229.*name it with --weights.*random:vmamba_small_224",
        ),
        ("vmamba_smal_224", "Did you mean 'vmamba_small_224'"),
        ("vmamba_small_224.in22k", "weights of vmamba_small_224 called"),
    ],
)
def test_what_cannot_be_a_vmamba_is_refused_with_a_mend(name, said):
    with pytest.raises(ZslbenchError, match=said):
        find_backbone(name)


def test_a_network_without_a_classifier_says_so():
    with pytest.raises(ZslbenchError, match="has no classifier"):
        _ = embedded_architecture("plumage_vmamba").classifier_head


# ---------------------------------------------------------------- in its place, and out of place


def test_efficientvim_gives_timms_last_map_and_its_pooled_part():
    network = timm.create_model("efficientvim_m1", pretrained=False, num_classes=0).eval()
    images = noise(2, 3, 128, 128)
    opened = OpenEfficientViM(network).eval()
    with torch.inference_mode():
        expected = network.forward_features(images)[-1].mean(-1)
        assert opened(images).shape == (2, 4, opened.width)
        torch.testing.assert_close(opened.feature(images), expected)


def test_efficientvim_is_had_by_name():
    source = find_backbone("random:efficientvim_m1")
    assert source.ending == "map"
    assert isinstance(source.build(), MapBackbone)


@pytest.mark.parametrize(
    ("method", "backbone", "said"),
    [
        ("zslvit", "plumage_vmamba", "zslvit cannot run on plumage_vmamba.*a ViT"),
        ("zeromamba", "plumage_vit", "zeromamba cannot run on plumage_vit.*ends in a map"),
    ],
)
def test_a_method_on_the_other_kind_of_backbone_is_refused(method, backbone, said):
    request = DataRequest(BIRDS, Path(), backbone=backbone)
    cls = load_method(method)
    with pytest.raises(UnservedError, match=said):
        DataSource(request).for_method(method, cls, cls.Config())


def test_images_without_a_backbone_ask_for_one_of_the_methods_kind():
    cls = load_method("zeromamba")
    with pytest.raises(UnservedError, match="a network that ends in a map, such as resnet101"):
        DataSource(DataRequest("CUB", Path())).for_method("zeromamba", cls, cls.Config())


def test_on_plumage_each_method_gets_the_embedded_backbone_of_its_kind():
    datasets = DataSource(DataRequest(BIRDS, Path()))
    found = {}
    for name in ("vit_attr_head", "zeromamba"):
        cls = load_method(name)
        found[name] = datasets.for_method(name, cls, cls.Config()).backbone.name
    assert found == {"vit_attr_head": "plumage_vit", "zeromamba": "plumage_vmamba"}
