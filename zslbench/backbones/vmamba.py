"""VMamba (Liu et al., NeurIPS 2024, arXiv 2401.10166) in plain PyTorch, one state a channel.

Parameters have the names and shapes of the public release (`vssm_*_0229` and `_0230`: stem v2,
downsampling v3, SS2D v05 without gate), so that its files load. Maps are channels last inside.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zslbench.backbones.maps import MapBackbone
from zslbench.nn.scan import selective_scan

WAYS, STATES = 4, 1
SHORTEST, LONGEST = 1e-3, 0.1
DEVIATION = 0.02
SIZES: dict[str, dict[str, Any]] = {
    "vmamba_tiny": {"widths": (96, 192, 384, 768), "depths": (2, 2, 8, 2), "expand": 1},
    "vmamba_small": {"widths": (96, 192, 384, 768), "depths": (2, 2, 15, 2), "expand": 2},
    "vmamba_base": {"widths": (128, 256, 512, 1024), "depths": (2, 2, 15, 2), "expand": 2},
}
MICRO: dict[str, Any] = {"widths": (48, 192), "depths": (1, 3), "expand": 1, "classes": 0}


class Conv(nn.Conv2d):
    """A convolution of maps with channels last, `[B, H, W, D]`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, H', W', D']`."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class SS2D(nn.Module):
    """The four-way scan of a map: by rows and by columns, from either end, summed.

    Args:
        width: D.
        expand: D' = `expand` D channels are scanned.
    """

    def __init__(self, width: int, expand: int) -> None:
        super().__init__()
        inner, self.rank = expand * width, math.ceil(width / 16)
        self.in_proj = nn.Linear(width, inner, bias=False)
        self.conv2d = Conv(inner, inner, 3, padding=1, groups=inner, bias=False)
        narrow, wide = inner**-0.5, self.rank**-0.5
        self.x_proj_weight = _uniform(narrow, WAYS, self.rank + 2 * STATES, inner)
        self.dt_projs_weight = _uniform(wide, WAYS, inner, self.rank)
        self.dt_projs_bias = nn.Parameter(_first_steps(WAYS, inner))
        self.A_logs = nn.Parameter(torch.zeros(WAYS * inner, STATES))
        self.Ds = nn.Parameter(torch.ones(WAYS * inner))
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, H, W, D]`."""
        x = nn.functional.silu(self.conv2d(self.in_proj(x)))
        out: Tensor = self.out_proj(self.out_norm(self.scan(x).to(x.dtype)))
        return out

    def scan(self, x: Tensor) -> Tensor:
        """Return the sum over the four ways of what their scans give, `[B, H, W, D']`."""
        ways = cross_scan(x)
        groups, length, batch, inner = ways.shape
        flat = ways.reshape(groups, length * batch, inner)
        projected = flat @ self.x_proj_weight.mT
        step, *both = torch.split(projected, [self.rank, STATES, STATES], dim=-1)
        step = torch.baddbmm(self.dt_projs_bias[:, None], step, self.dt_projs_weight.mT)
        entry, leave = (part.reshape(groups, length, batch, STATES) for part in both)
        log_rate = self.A_logs.reshape(groups, inner)
        y = selective_scan(ways, step.reshape(ways.shape), log_rate, entry, leave)
        return cross_merge(y, x.shape[1]) + x * self.Ds.reshape(groups, inner).sum(dim=0)


def cross_scan(x: Tensor) -> Tensor:
    """Read a map `[B, H, W, D]` as sequences `[4, H W, B, D]`: rows, columns, both reversed."""
    rows, columns = x.permute(1, 2, 0, 3), x.permute(2, 1, 0, 3)
    both = torch.stack([rows.flatten(0, 1), columns.flatten(0, 1)])
    return torch.cat([both, both.flip(1)])


def cross_merge(y: Tensor, height: int) -> Tensor:
    """Put four sequences `[4, H W, B, D]` back in place and add them up: `[B, H, W, D]`."""
    rows, columns = (y[:2] + y[2:].flip(1)).unbind(0)
    size, (batch, width) = len(rows) // height, rows.shape[1:]
    by_rows = rows.reshape(height, size, batch, width)
    by_columns = columns.reshape(size, height, batch, width)
    return (by_rows + by_columns.transpose(0, 1)).permute(2, 0, 1, 3)


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[..., D]`."""
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """The VSS block: scan and MLP, each on the normed map and added to it."""

    def __init__(self, width: int, expand: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.op = SS2D(width, expand)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, H, W, D]`."""
        x = x + self.op(self.norm(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class VMamba(MapBackbone):
    """A stem to a quarter of the side, then stages of VSS blocks with halvings between.

    Args:
        widths: Channels of each stage.
        depths: Blocks of each stage.
        expand: Channels that are scanned, in units of the width.
        classes: Of the classifier; 0 for none.
    """

    def __init__(
        self, widths: Sequence[int], depths: Sequence[int], expand: int, classes: int = 1000
    ) -> None:
        super().__init__()
        self.width = widths[-1]
        self.patch_embed = _stem(widths[0])
        self.layers = nn.ModuleList(
            _stage(width, depth, expand, following)
            for width, depth, following in zip(widths, depths, [*widths[1:], 0], strict=True)
        )
        self.classifier = nn.ModuleDict({"norm": nn.LayerNorm(self.width)})
        if classes:
            self.classifier["head"] = nn.Linear(self.width, classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last map `[B, N, D]` of images `[B, 3, S, S]`."""
        x = self.patch_embed(images.permute(0, 2, 3, 1))
        for stage in self.layers:
            x = stage(x)
        out: Tensor = x.flatten(1, 2)
        return out

    def pool(self, found: Tensor) -> Tensor:
        """Return the mean of the normed map, `[B, D]`."""
        pooled: Tensor = self.classifier["norm"](found).mean(dim=1)
        return pooled

    @property
    def classifier_head(self) -> nn.Linear:
        """The layer from pooled features to the classes of the pretraining."""
        head = dict(self.classifier.named_children()).get("head")
        return head if isinstance(head, nn.Linear) else super().classifier_head

    def linear(self, released: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the parameters of the public release with pointwise convolutions as linear."""
        ours, found = self.state_dict(), dict(released)
        for name in ours.keys() & found.keys():
            if ours[name].squeeze().shape == found[name].squeeze().shape:
                found[name] = found[name].reshape(ours[name].shape)
        return found


def _stem(width: int) -> nn.Sequential:
    half, nothing = width // 2, nn.Identity
    return nn.Sequential(
        Conv(3, half, 3, stride=2, padding=1), nothing(), nn.LayerNorm(half), nothing(), nn.GELU(),
        Conv(half, width, 3, stride=2, padding=1), nothing(), nn.LayerNorm(width),
    )  # fmt: skip


def _stage(width: int, depth: int, expand: int, following: int) -> nn.Sequential:
    """Return blocks, then a halving to the width of the following stage, if there is one."""
    stage = nn.Sequential()
    stage.add_module("blocks", nn.Sequential(*(Block(width, expand) for _ in range(depth))))
    if following:
        halving = Conv(width, following, 3, stride=2, padding=1)
        parts = nn.Identity(), halving, nn.Identity(), nn.LayerNorm(following)
        stage.add_module("downsample", nn.Sequential(*parts))
    return stage


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _uniform(reach: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-reach, reach))


def _first_steps(*shape: int) -> Tensor:
    """Return biases for a first Delta between 0.001 and 0.1, even in its logarithm."""
    low, high = math.log(SHORTEST), math.log(LONGEST)
    delta = torch.exp(low + (high - low) * torch.rand(shape))
    return delta + torch.log(-torch.expm1(-delta))
