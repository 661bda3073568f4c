"""The files that weights of backbones come in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any, cast, get_args

from zslbench.data.types import BackboneSource
from zslbench.errors import DataError, ZslbenchError, reading, unknown
from zslbench.records import Backbone, Exposure

RANDOM = "random:"
OPEN_CLIP = "clip:"
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EXPOSURES = tuple(word for word in get_args(Exposure) if word != "none")  # that is a random start


@dataclass(frozen=True)
class WeightsInfo:
    """What a file of weights, or its user, says of it; what is left open is the architecture's.

    Attributes:
        architecture: What timm calls the network.
        mean: Of the network's input, `(r, g, b)` in [0, 1].
        std: Likewise, its deviation.
        pad_type: How its convolutions are padded, as timm names it.
        exposure: What the pretraining saw.
        fine_tuned: Whether it was trained on labels of all seen classes.
    """

    architecture: str = ""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    pad_type: str = ""
    exposure: Exposure | None = None
    fine_tuned: bool = False

    def of(self, source: BackboneSource) -> BackboneSource:
        """Return a backbone with the input and the exposure that are told here."""
        told = {"mean": self.mean or source.mean, "std": self.std or source.deviation}
        own = {"mean": source.mean, "std": source.deviation}
        update: dict[str, Any] = {key: told[key] for key in told if told[key] != own[key]}
        update["exposure"] = self.exposure or source.record.exposure
        update["fine_tuned"] = self.fine_tuned
        record = source.record.model_copy(update=update)
        return replace(source, record=record, mean=told["mean"], deviation=told["std"])


def info_of(path: Path) -> WeightsInfo:
    """Return what the metadata of a safetensors file say, under the names of `WeightsInfo`.

    A word in brackets or a remark may follow: `vit_base_patch16_224 (timm)`.

    Raises:
        DataError: If the file cannot be read, or says what cannot be.
    """
    if path.suffix != ".safetensors":
        return WeightsInfo()
    from safetensors import SafetensorError, safe_open

    with (
        reading(path, "cannot be read as safetensors", "Save it again.", SafetensorError),
        safe_open(path, "np") as file,
    ):
        told = file.metadata() or {}
    words = {key: told[key].replace(",", " ").strip("()[] ").split() for key in told}
    first = {key: words[key][0] for key in words if words[key]}
    try:
        return WeightsInfo(
            architecture=first.get("architecture", ""),
            mean=channels("mean", words["mean"]) if "mean" in words else None,
            std=channels("std", words["std"]) if "std" in words else None,
            pad_type=first.get("pad_type", "").rstrip("."),
            exposure=exposure_of(first["exposure"]) if "exposure" in first else None,
            fine_tuned=yes(first.get("fine_tuned", "no")),
        )
    except ZslbenchError as error:
        raise DataError(path, f"its metadata: {error}", "Correct them, and save again.") from None


def channels(name: str, values: Sequence[Any]) -> tuple[float, ...]:
    """Return the mean or the deviation of a network's input, `(r, g, b)`.

    Raises:
        ZslbenchError: If it is not three numbers in [0, 1], or a deviation of 0.
    """
    try:
        numbers = tuple(map(float, values))
    except (TypeError, ValueError):
        numbers = ()
    within = len(numbers) == 3 and all(0 <= number <= 1 for number in numbers)
    if not within or (name.endswith("std") and 0 in numbers):
        raise ZslbenchError(
            f"{name} {values!r}: give three numbers in 0 to 1, for pixels divided by 255, such as "
            f"{' '.join(map(str, IMAGENET[name.endswith('std')]))}"
        )
    return numbers


def yes(word: str) -> bool:
    """Return whether a word is `yes` and not `no`.

    Raises:
        ZslbenchError: If it is neither.
    """
    if word not in ("yes", "no"):
        raise ZslbenchError(f"fine_tuned {word!r}: write yes or no")
    return word == "yes"


def exposure_of(word: str) -> Exposure:
    """Return what a pretraining saw, by its name.

    Raises:
        ZslbenchError: If there is no such exposure.
    """
    if word not in EXPOSURES:
        raise unknown("pretraining exposure", word, EXPOSURES)
    return cast(Exposure, word)


def check_tiles(name: str, size: int, patch: int) -> int:
    """Return how many patches there are along each side of an image.

    Raises:
        ZslbenchError: With the nearest sizes that they do.
    """
    if size % patch or size < patch:
        near = [max(1, size // patch) * patch, (size // patch + 1) * patch]
        sizes = " or ".join(map(str, dict.fromkeys(near)))
        raise ZslbenchError(
            f"--image-size {size}: {name} sees squares of {patch} px, and {size} is no multiple of "
            f"{patch}. Name {sizes}."
        )
    return size // patch


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Return how the parameters of a file differ from a network's; empty where they do not.

    Args:
        ours: Name -> tensor of the network.
        theirs: Name -> tensor of the file.
    """
    lacks = sorted(ours.keys() - theirs.keys())
    more = sorted(theirs.keys() - ours.keys())
    other = [n for n in ours if n in theirs and ours[n].shape != theirs[n].shape]
    shapes = [f"{n} is {tuple(theirs[n].shape)} there and {tuple(ours[n].shape)} here"
              for n in other]  # fmt: skip
    return "; ".join([
        *([f"it lacks {len(lacks)} parameters, {lacks[0]!r} first"] if lacks else []),
        *([f"it has {len(more)} more parameters, {more[0]!r} first"] if more else []),
        *shapes[:1],
    ])  # fmt: skip


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


def not_of(architecture: str, weights: Path, wrong: str, likeliest: str) -> ZslbenchError:
    """Return the refusal of weights that are another network's than the one asked for.

    Args:
        architecture: Of the network asked for.
        weights: The file.
        wrong: How it differs.
        likeliest: The network that the file is most like; empty where nothing is like it.
    """
    fix = "Name the --backbone that it belongs to."
    if likeliest == architecture:
        fix = "Name a file that has them all, and none but a head's beside them."
    elif likeliest:
        fix = f"Name the --backbone that it belongs to: most likely {likeliest}."
    return ZslbenchError(f"{weights}: these are not the weights of {architecture}: {wrong}. {fix}")


def recorded(
    name: str, weights: Path | None, hub: str, exposure: Exposure, image_size: int | None = None
) -> Backbone:
    """Return the record of a network with the weights of a file, of a hub, or none.

    Args:
        name: Of the backbone; one with `random:` before it has neither weights nor exposure.
        weights: The file.
        hub: What stands for the weights of a hub, where there is no file.
        exposure: What the weights have seen.
        image_size: Of its images, where it is not the network's own.

    Raises:
        ZslbenchError: If there is no such file.
    """
    if name.startswith(RANDOM):
        return Backbone(name=name, weights_digest="", exposure="none", image_size=image_size)
    digest = file_sha256(weights) if weights else hub
    return Backbone(name=name, weights_digest=digest, exposure=exposure, image_size=image_size)


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
