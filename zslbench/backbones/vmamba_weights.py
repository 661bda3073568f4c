"""VMambas by name, with the weights of their public release."""

from functools import partial
from pathlib import Path
from typing import Any

from zslbench.backbones.source import (
    IMAGENET,
    RANDOM,
    check_tiles,
    differences,
    not_of,
    read_state,
    recorded,
)
from zslbench.backbones.vmamba import SIZES, VMamba
from zslbench.data.types import BackboneSource
from zslbench.errors import ZslbenchError, unknown
from zslbench.records import Exposure

RELEASED = {
    "vmamba_tiny": "vssm1_tiny_0230s_ckpt_epoch_264.pth",
    "vmamba_small": "vssm_small_0229_ckpt_epoch_222.pth",
    "vmamba_base": "vssm_base_0229_ckpt_epoch_237.pth",
}
VMAMBAS = {f"{name}_{size}": (name, size) for name in SIZES for size in (224, 448)}
PLACE = 32  # pixels along each side that the stem and three halvings make one place of the map


def find_vmamba(name: str, weights: Path | None, image_size: int | None = None) -> BackboneSource:
    """Return a VMamba, with the weights of a file in the layout of its public release."""
    architecture, _, tag = name.removeprefix(RANDOM).partition(".")
    if architecture not in VMAMBAS:
        raise unknown("VMamba", architecture, VMAMBAS)
    if tag not in ("", "in1k"):
        raise unknown(f"weights of {architecture} called", tag, ["in1k"])
    kind, own = VMAMBAS[architecture]
    if weights is None and not name.startswith(RANDOM):
        raise ZslbenchError(
            f"--backbone {name}: its weights are in no hub. Download {RELEASED[kind]} from the "
            "releases of MzeroMiko/VMamba on GitHub and name it with --weights, or ask for a "
            f"random start with --backbone {RANDOM}{name}."
        )
    size = image_size or own
    exposure: Exposure = "1k" if tag else "unknown"
    record = recorded(name, weights, "", exposure, None if size == own else size)
    if weights:
        _fitted(kind, _skeleton(kind), weights)
    grid = check_tiles(name, size, PLACE)
    build = partial(_build_vmamba, kind, weights)
    return BackboneSource(record, *IMAGENET, size, build, "map", grid)


def _skeleton(kind: str) -> VMamba:
    """Return a network whose parameters have names and shapes, and no values."""
    import torch

    with torch.device("meta"):
        return VMamba(**SIZES[kind])


def _build_vmamba(kind: str, weights: Path | None) -> VMamba:
    network = VMamba(**SIZES[kind])
    if weights:
        network.load_state_dict(_fitted(kind, network, weights))
    return network


def _fitted(kind: str, network: VMamba, weights: Path) -> dict[str, Any]:
    """Return the parameters in a file, all that a network has.

    Raises:
        ZslbenchError: If any is missing, unknown, or of another size.
    """
    released = _released(weights)
    found = network.linear(released)
    wrong = differences(network.state_dict(), found)
    if wrong:
        others = {f"{other}_224": _skeleton(other) for other in SIZES if other != kind}
        fit = (name for name, other in others.items()
               if not differences(other.state_dict(), other.linear(released)))  # fmt: skip
        raise not_of(f"{kind} ({RELEASED[kind]})", weights, wrong, next(fit, ""))
    return found


def _released(path: Path) -> dict[str, Any]:
    """Return the parameters in a checkpoint of the public release, or in a bare state dict."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = read_state(path)
    return dict(state.get("model", state))
