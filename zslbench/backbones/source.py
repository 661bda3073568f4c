"""The files that weights of backbones come in."""

from collections.abc import Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

from zslbench.errors import ZslbenchError
from zslbench.records import Backbone, Exposure

RANDOM = "random:"
OPEN_CLIP = "clip:"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_state(path: Path, allowed: Sequence[type] = ()) -> dict[str, Any]:
    """Read a state dict by torch without executing anything in it.

    Args:
        path: A file of `torch.save`.
        allowed: Types that may be in it beside tensors and plain containers.

    Raises:
        ZslbenchError: If there is none, or it cannot be read that way.
    """
    import torch

    if not path.is_file():
        raise ZslbenchError(f"{path}: there is no such file. Name a file of weights.")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            state = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state)
    except Exception as error:  # a damaged file fails in many ways
        raise ZslbenchError(
            f"{path}: no state dict can be read from it without executing code "
            f"({type(error).__name__}: {str(error)[:150]}). Save tensors alone: "
            "torch.save(model.state_dict(), FILE)."
        ) from error


def load_state(network: Any, state: Mapping[str, Any], path: Path, fix: str) -> None:
    """Load every parameter of a network.

    Args:
        network: A module.
        state: Its state dict, read from `path`.
        path: For the error.
        fix: What to do where they do not fit.

    Raises:
        ZslbenchError: If a parameter is missing, unknown, or of another shape.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        differs = " ".join(str(error).split())[:300]
        raise ZslbenchError(f"{path}: its parameters do not fit ({differs}). {fix}") from None


def recorded(name: str, weights: Path | None, hub: str, exposure: Exposure) -> Backbone:
    """Return the record of a network with the weights of a file, of a hub, or none.

    Args:
        name: Of the backbone; one with `random:` before it has neither weights nor exposure.
        weights: The file.
        hub: What stands for the weights of a hub, where there is no file.
        exposure: What the weights have seen.

    Raises:
        ZslbenchError: If there is no such file.
    """
    if name.startswith(RANDOM):
        return Backbone(name=name, weights_digest="", exposure="none")
    digest = file_sha256(weights) if weights else hub
    return Backbone(name=name, weights_digest=digest, exposure=exposure)


def not_had(name: str, error: Exception, untrained: str) -> str:
    """Return the refusal of a backbone whose weights neither a hub nor a file gave."""
    said = " ".join(str(error).split())[:150]
    return (
        f"--backbone {name}: its weights are not available ({type(error).__name__}: {said}). Name "
        f"a local file with --weights, or ask for a random start with --backbone {untrained}."
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file of weights.

    Raises:
        ZslbenchError: If there is no such file.
    """
    if not path.is_file():
        raise ZslbenchError(f"--weights {path}: there is no such file.")
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
