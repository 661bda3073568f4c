"""VMambas by name, with the weights of their public release."""

from functools import partial
from pathlib import Path
from typing import Any

from zslbench.backbones.source import IMAGENET, RANDOM, read_state, recorded
from zslbench.backbones.vmamba import SIZES, VMamba
from zslbench.data.types import BackboneSource
from zslbench.errors import ZslbenchError, unknown

RELEASED = {
    "vmamba_tiny": "vssm1_tiny_0230s_ckpt_epoch_264.pth",
    "vmamba_small": "vssm_small_0229_ckpt_epoch_222.pth",
    "vmamba_base": "vssm_base_0229_ckpt_epoch_237.pth",
}
VMAMBAS = {f"{name}_{size}": (name, size) for name in SIZES for size in (224, 448)}


def find_vmamba(name: str, weights: Path | None) -> BackboneSource:
    """Return a VMamba, with the weights of a file in the layout of its public release."""
    architecture, _, tag = name.removeprefix(RANDOM).partition(".")
    if architecture not in VMAMBAS:
        raise unknown("VMamba", architecture, VMAMBAS)
    if tag not in ("", "in1k"):
        raise unknown(f"weights of {architecture} called", tag, ["in1k"])
    kind, size = VMAMBAS[architecture]
    if weights is None and not name.startswith(RANDOM):
        raise ZslbenchError(
            f"--backbone {name}: its weights are in no hub. Download {RELEASED[kind]} from the "
            "releases of MzeroMiko/VMamba on GitHub and name it with --weights, or ask for a "
            f"random start with --backbone {RANDOM}{name}."
        )
    record = recorded(name, weights, "", "1k" if tag else "unknown")
    return BackboneSource(record, *IMAGENET, size, partial(_build_vmamba, kind, weights), "map")


def _build_vmamba(kind: str, weights: Path | None) -> VMamba:
    network = VMamba(**SIZES[kind])
    if weights:
        try:
            network.take(_released(weights))
        except ValueError as error:
            raise ZslbenchError(
                f"{weights}: it does not fit {kind}: {error}. Name the public release's "
                f"{RELEASED[kind]}, or the --backbone that this one belongs to."
            ) from None
    return network


def _released(path: Path) -> dict[str, Any]:
    """Return the parameters in a checkpoint of the public release, or in a bare state dict."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = read_state(path)
    return dict(state.get("model", state))
