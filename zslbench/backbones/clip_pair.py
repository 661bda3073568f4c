"""Any of open_clip's pairs whose towers open up: a ViT with a class token, a causal text tower."""

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zslbench.backbones.image_text import ImageFeatures, ImageText
from zslbench.backbones.source import OPEN_CLIP, RANDOM, check_tiles, not_had, recorded
from zslbench.data.types import BackboneSource
from zslbench.errors import ZslbenchError, unknown


class ClipPair(ImageText):
    """An open_clip `CLIP`, its numbers unchanged; tests hold them equal.

    Args:
        clip: The model.
        tokenizer: Its tokenizer.

    Raises:
        ValueError: If its towers are not of the plain kind.
    """

    def __init__(self, clip: Any, tokenizer: Any) -> None:
        super().__init__()
        if not _is_plain(clip):
            raise ValueError(
                "only CLIPs with a ViT that pools its class token and a causal text tower that "
                "pools its end token are opened up"
            )
        self.clip, self.tokenizer = clip, tokenizer
        rows, columns = clip.visual.grid_size
        if rows != columns:
            raise ValueError(f"its grid of {rows} x {columns} patches is not square")
        self.grid, self.size = rows, clip.visual.image_size[0]
        self.width, self.context = clip.visual.proj.shape[1], clip.context_length
        self.text_width = clip.token_embedding.embedding_dim

    @property
    def logit_scale(self) -> Tensor:
        """What cosines are multiplied by."""
        scale: Tensor = self.clip.logit_scale.exp()
        return scale

    def image_features(self, images: Tensor) -> ImageFeatures:
        """Return the projected class token and patches, both normed."""
        visual = self.clip.visual
        tokens = visual.ln_post(visual.transformer(visual._embeds(images))) @ visual.proj
        return ImageFeatures(tokens[:, 0], tokens[:, 1:])

    def tokenise(self, sentences: Sequence[str], spare: int = 0) -> Tensor:
        """Return byte-pair tokens; what is too long is refused, not cut."""
        for sentence in sentences:
            length = len(self.tokenizer.encode(sentence)) + 2
            if length > self.context - spare:
                raise ZslbenchError(
                    f"{sentence!r}: this description has {length} tokens, the text tower reads at "
                    f"most {self.context - spare} here. Split it into several sentences."
                )
        ids: Tensor = self.tokenizer(list(sentences), context_length=self.context)
        return ids

    def ends(self, ids: Tensor) -> Tensor:
        """Return where the end token is: it has the highest number."""
        return ids.argmax(dim=1)

    def embed(self, ids: Tensor) -> Tensor:
        """Return token embeddings."""
        embedded: Tensor = self.clip.token_embedding(ids)
        return embedded

    def encode(self, embedded: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Run the causal transformer, the norm and the projection."""
        clip, length = self.clip, embedded.shape[1]
        tokens = embedded + clip.positional_embedding[:length]
        tokens = clip.transformer(tokens, attn_mask=clip.attn_mask[:length, :length])
        tokens = clip.ln_final(tokens) @ clip.text_projection
        return tokens[torch.arange(len(tokens), device=tokens.device), ends], tokens


def _is_plain(clip: Any) -> bool:
    from open_clip import CLIP
    from open_clip.transformer import VisionTransformer

    visual = getattr(clip, "visual", None)
    return (
        type(clip) is CLIP
        and isinstance(visual, VisionTransformer)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and not visual.final_ln_after_pool
        and visual.proj is not None
        and clip.attn_mask is not None
        and clip.text_pool_type == "argmax"
        and isinstance(clip.text_projection, torch.nn.Parameter)
        and clip.logit_bias is None
    )


def find_clip(name: str, weights: Path | None, image_size: int | None = None) -> BackboneSource:
    """Return one of open_clip's pairs.

    Args:
        name: `clip:MODEL.TAG`, `clip:MODEL` with weights, or `random:clip:MODEL`.
        weights: A local file: safetensors, or a state dict that loads without pickle.
        image_size: Side of the images in pixels, where it is not the model's own.

    Raises:
        ZslbenchError: Where open_clip is not installed, has no such model or weights, or neither
            its hub nor a file gives them; where patches do not tile images of that size.
    """
    if find_spec("open_clip") is None:
        raise ZslbenchError(
            f"--backbone {name}: open_clip is not installed. Install it with "
            "`pip install 'zslbench[clip]'`, or take plumage_clip on plumage."
        )
    import open_clip
    from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    untrained = name.startswith(RANDOM)
    model, _, tag = name.removeprefix(RANDOM).removeprefix(OPEN_CLIP).partition(".")
    config: Any = open_clip.get_model_config(model)
    if config is None:
        raise unknown("model of open_clip's", model, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag and tag not in tags:
        raise unknown(f"weights of open_clip's {model} called", tag, tags)
    if not (tag or weights or untrained):
        raise ZslbenchError(
            f"--backbone {name} names no weights: write {OPEN_CLIP}{model}.TAG (known: "
            f"{', '.join(tags)}), or name a local file with --weights."
        )
    if untrained and weights:
        raise ZslbenchError(f"--weights {weights}: --backbone {name} takes none.")
    told = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    mean, std = told.get("mean", OPENAI_DATASET_MEAN), told.get("std", OPENAI_DATASET_STD)
    vision = config["vision_cfg"]
    own = vision.get("image_size", 224)
    own = own if isinstance(own, int) else own[0]
    side = image_size or own
    patch = vision.get("patch_size")  # of a ViT alone
    grid = check_tiles(name, side, patch) if patch else None
    other = None if side == own else side
    record = recorded(name, weights, f"open_clip:{model}.{tag}", "web", other)
    build = partial(_build, name, model, None if untrained else tag, weights, other)
    return BackboneSource(record, tuple(mean), tuple(std), side, build, "pair", grid)


def _build(
    name: str, model: str, tag: str | None, weights: Path | None, size: int | None
) -> ClipPair:
    import open_clip

    try:
        source = str(weights) if weights else tag or None
        quick = bool(tag and open_clip.get_pretrained_cfg(model, tag).get("quick_gelu"))
        clip: Any = open_clip.create_model(
            model, pretrained=source, force_quick_gelu=quick, force_image_size=size
        )
    except Exception as error:  # hubs fail in many ways, and files too
        # An unreachable hub fails the runs that need it, and a study continues with its others.
        refused = ZslbenchError if weights else RuntimeError
        raise refused(not_had(name, error, f"{RANDOM}{OPEN_CLIP}{model}")) from error
    try:
        return ClipPair(clip, open_clip.get_tokenizer(model))
    except ValueError as error:
        raise ZslbenchError(f"--backbone {name}: {error}. Choose another, say ViT-B-16.") from None
