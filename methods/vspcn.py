"""VSPCN: "Visual and Semantic Prompt Collaboration for Generalized Zero-Shot Learning",
CVPR 2025 (arXiv 2503.23030); code YYDSinGitGit/VSPCN at 6dbf81a, which does not run as released.

| point | paper | released code | here |
|---|---|---|---|
| frozen | the ViT | but for class token, positions | the ViT, class token and positions too |
| prompts | how many: not said | one visual, one semantic | the same, with positions from zero |
| deep half | layer 7 on, of 12 | 6 of 13 blocks, the 13th random | the last depth // 2 blocks |
| weak fusion | attended value is the prompt | the same | the same; patches without positions |
| strong fusion | prompt + mixture | .9/.1, .1/.9 or 2:1 by dataset | prompt + mixture |
| projections | Q, K, V | one for words; some start at 0 | Q, K, V, no bias, small Xavier |
| norms in weak fusion | not said | shared by Q, K, V, with gain | gains are left to Q, K, V |
| norms in strong fusion, adapter | not said | none | as in weak fusion; `norms=weak`: none |
| gradient through keys | not said | none through patches | none through patches |
| alpha_v, alpha_s | .05, .8 | by dataset: 0 to .95, .5 to .8 | the paper's, on the attention |
| alpha_a | not said | .5 | `alpha_a` .5 |
| adapted words | of each image | averaged over the batch | of each image |
| words S | GloVe | word2vec, summed | as the harness hands them, projected |
| score | class token . prototype | the same, linear prototypes | the same: dot, `scale` 1 |
| L_AR | squared error, gamma not said | distance, .01 | mean squared error, `lambda_ar` .01 |
| L_CED | L_ED; its weights not said | .8 (.05 L_ED + .5 L_CE(vp)) | `lambda_ced` (`eta1`, `eta2`) |
| L_CE(vp) | not said | by a layer that is missing | by the prototypes |
| L_KL in L_ED | (vp, cls) | KL(cls, vp) | KL(vp, cls), 1e-6 or more |
| L_SKD | JSD + distance | half Jeffreys over D + distance | `consistency` + distance |
| lambda_SKD | not said | .18 | `lambda_skd` .18 |
| tau | added to unseen scores | .5, on probabilities | the harness's gamma: same argmax |
| optimiser | Adam 1e-3, wd 1e-4 | Adam 1e-4, batches of 5 | AdamW 1e-3, the shared schedule |
| augmentation | not said | none | the shared one; `augment=False`: none |

The column *paper* rests on a summary of it: "not said" is said of that. eta_1 and eta_2 are named
there; that they weigh the two terms of L_CED is a guess. It also says that alpha_v = .05 puts
nearly all on the attention, while its formula gives that 5 %: the formula is followed. A mean
squared error is the code's distance d squared over D, so that the same .01 weighs d / D as much:
with 28 of 768, a 27th; `lambda_ar` is where to change that. With
`logits=cosine` (take `scale` 20) token and prototypes are normalised where classes are compared,
not in L_AR and L_SKD. `class_attributes` is the form of what prototypes are made from. Ablation:
`visual`, `semantic` (neither: the ViT alone), `fusion` (bare prompts, so no adapter), `adapter`.
"""  # noqa: D205

from functools import partial
from typing import Any, ClassVar, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm, mse_loss

from zslbench.backbones.vit import AttentionHook, OpenViT, run_block
from zslbench.method import PublishedCurve, PublishedRule, TrainSet, View, hyper, option
from zslbench.method.trained import Comparison, TrainedConfig, TrainedMethod
from zslbench.nn.attention import ClassRow
from zslbench.nn.losses import Consistency, consistency

SMALL, DEVIATION, LEAST_KL = 0.1, 0.02, 1e-6

_weight = partial(hyper, low=0.0, high=10.0, log=True)


class Config(TrainedConfig):
    """Config of VSPCN."""

    backbone_lr: float = hyper(0.0, "eta_b", "0: it stays frozen", 0.0, 0.0)
    logits: Comparison = option("dot", "f_cls a", "how class token and prototypes are compared")
    scale: float = hyper(1.0, "sigma", "scale of logits", 0.1, 1e3, log=True)
    alpha_v: float = hyper(0.05, "alpha_v", "attention's share", 0.0, 1.0)
    alpha_s: float = hyper(0.8, "alpha_s", "attention's share", 0.0, 1.0)
    alpha_a: float = hyper(0.5, "alpha_a", "step of the adapter", 0.0, 1.0)
    lambda_ar: float = _weight(0.01, "gamma", "weight of L_AR")
    lambda_ced: float = _weight(0.8, "lambda_CED", "weight of L_CED")
    lambda_skd: float = _weight(0.18, "lambda_SKD", "weight of L_SKD")
    eta1: float = _weight(0.05, "eta_1", "L_ED within L_CED")
    eta2: float = _weight(0.5, "eta_2", "L_CE(vp) within L_CED")
    consistency: Consistency = option(
        "half_jeffreys", "JSD", "divergence in L_SKD, of prompt and prototype"
    )
    visual: bool = option(True, "f_vp", "whether there is a visual prompt")
    semantic: bool = option(True, "f_sp", "whether there is a semantic prompt")
    fusion: bool = option(True, "WVPF, SVPF", "weak and strong fusion of the prompts")
    adapter: bool = option(True, "S^l", "whether words are adapted to the image")
    norms: Literal["all", "weak"] = option(
        "all", "LN", "where tokens are normed: all fusions and the adapter, or weak fusion"
    )

    def prompts(self) -> list[str]:
        """Return the prompts there are, in their order behind the class token."""
        return [name for name in ("visual", "semantic") if getattr(self, name)]


class PromptAttention(nn.Module):
    """[alpha softmax(Q K' / sqrt(D)) + (1 - alpha) softmax(B)] V: all four fusions and the adapter.

    Keys and values are never formed: (q W_k) x' and (weights x) W_v are the same numbers at the
    price of the queries, which are few.

    Args:
        width: D.
        places: How many keys there are, if each has a learnt bias B; weak fusion has none.
        alpha: Share of the attention.
        norms: Whether queries and source are layer-normed first.
    """

    def __init__(
        self, width: int, places: int = 0, alpha: float = 1.0, *, norms: bool = True
    ) -> None:
        super().__init__()
        self.alpha, self.norms = alpha, norms
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight, gain=SMALL)
        self.bias = nn.Parameter(torch.zeros(places)) if places else None

    def forward(self, queries: Tensor, source: Tensor) -> Tensor:
        """Return `[B, Q, D]` of queries `[B or 1, Q, D]` and a source `[B or 1, n, D]`."""
        source = self.normed(source)
        out: Tensor = self.value(self.weights(self.normed(queries), source) @ source)
        return out

    def normed(self, tokens: Tensor) -> Tensor:
        """Return tokens of mean 0 and variance 1 each; as they are where it has no norms."""
        return layer_norm(tokens, tokens.shape[-1:]) if self.norms else tokens

    def weights(self, queries: Tensor, source: Tensor) -> Tensor:
        """Return `[B, Q, n]`: how much of each key goes to each query, both `normed`."""
        keyed = self.query(queries) @ self.key.weight / queries.shape[-1] ** 0.5
        weights: Tensor = (keyed @ source.transpose(-2, -1)).softmax(dim=-1)
        if self.bias is not None:
            weights = self.alpha * weights + (1 - self.alpha) * self.bias.softmax(dim=-1)
        return weights


class StrongFusion(nn.Module):
    """SVPF, SSPF and the semantic adapter, before one block of the deep half.

    `places` are N patches and K attributes, by the names of the prompts that attend to them.
    """

    def __init__(self, width: int, places: dict[str, int], config: Config) -> None:
        super().__init__()
        alphas = {"visual": config.alpha_v, "semantic": config.alpha_s}
        attention = partial(PromptAttention, width, norms=config.norms == "all")
        self.prompts = nn.ModuleDict(
            {name: attention(places[name], alphas[name]) for name in config.prompts()}
        )
        adapts = config.semantic and config.adapter
        self.adapter = attention() if adapts else None
        self.alpha_a = config.alpha_a

    def forward(
        self, prompts: Tensor, sources: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return prompts `[B, P, D]` with what they attend to added, and the adapted sources."""
        if self.adapter is not None:
            words = sources["semantic"]
            adapted = self.alpha_a * self.adapter(words, sources["visual"])
            sources = {**sources, "semantic": adapted + (1 - self.alpha_a) * words}
        parts = zip(self.prompts.items(), prompts.chunk(len(self.prompts), dim=1), strict=True)
        fused = [prompt + attend(prompt, sources[name]) for (name, attend), prompt in parts]
        return torch.cat(fused, dim=1), sources


class Network(nn.Module):
    """The frozen backbone, prompts, their fusion, and the projection of class attributes.

    Args:
        backbone: A ViT of any grid and depth.
        words: `[K, E]` word vectors, a constant.
        config: Says which parts there are.
    """

    words: Tensor

    def __init__(self, backbone: OpenViT, words: Tensor, config: Config) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        width, names = backbone.width, config.prompts()
        fused = names if config.fusion else []
        depth = len(backbone.vit.blocks) // 2 if fused else 0
        places = {"visual": backbone.grid**2, "semantic": len(words)}
        self.project_attributes = nn.Linear(len(words), width)
        starts = [(name, DEVIATION * torch.randn(1, 1, width)) for name in names]
        self.prompts = nn.ParameterDict(starts)
        self.positions = nn.Parameter(torch.zeros(1, len(names), width)) if names else None
        self.weak = nn.ModuleDict({name: PromptAttention(width) for name in fused})
        self.strong = nn.ModuleList(StrongFusion(width, places, config) for _ in range(depth))
        if "semantic" in fused:
            self.register_buffer("words", words)
            self.project_words = nn.Linear(words.shape[1], width, bias=False)

    def sources(self, patches: Tensor) -> dict[str, Tensor]:
        """Return what each prompt attends to: patches `[B, N, D]` and S^0 `[1, K, D]`."""
        sources = {"visual": patches}
        if "semantic" in self.weak:
            sources["semantic"] = self.project_words(self.words)[None]
        return sources

    def insert(self, tokens: Tensor, sources: dict[str, Tensor]) -> Tensor:
        """WVPF and WSPF: put prompts behind the class token, fused where fusion is on."""
        if self.positions is None:
            return tokens
        found = [
            self.weak[name](prompt, sources[name]) if name in self.weak else prompt
            for name, prompt in self.prompts.items()
        ]
        prompts = torch.cat([p.expand(len(tokens), -1, -1) for p in found], dim=1) + self.positions
        return torch.cat([tokens[:, :1], prompts, tokens[:, 1:]], dim=1)

    def encode(
        self, images: Tensor, on_attention: AttentionHook | None = None
    ) -> dict[str, Tensor]:
        """Return the normed last tokens `[B, D]`: `class`, and each prompt by its name."""
        backbone, count = self.backbone, 1 + len(self.prompts)
        patches = backbone.embed(images)
        sources = self.sources(patches)
        tokens = self.insert(backbone.tokens(patches), sources)
        shallow = len(backbone.vit.blocks) - len(self.strong)
        for index, block in enumerate(backbone.vit.blocks):
            if index >= shallow:
                sources["visual"] = tokens[:, count:].detach()
                prompts, sources = self.strong[index - shallow](tokens[:, 1:count], sources)
                tokens = torch.cat([tokens[:, :1], prompts, tokens[:, count:]], dim=1)
            tokens = run_block(block, tokens, on_attention)
        final = backbone.vit.norm(tokens[:, :count]).unbind(dim=1)
        return dict(zip(["class", *self.prompts], final, strict=True))


class VSPCN(TrainedMethod):
    """A visual and a semantic prompt steer a frozen ViT towards what attributes describe."""

    Config = Config
    network: Network
    needs = frozenset({"images", "word_vectors"})
    published_curves: ClassVar = {"alpha_v": PublishedCurve(0.05), "alpha_s": PublishedCurve(0.8)}
    published = PublishedRule(
        epoch="best", gamma=0.5, space="probability",
        source="released code, main.py: best H over epochs on test, .5 added to unseen classes",
    )  # fmt: skip

    def build(self, train: TrainSet) -> nn.Module:
        """Return the network around the frozen backbone."""
        words = torch.from_numpy(train.word_vectors).float()
        return Network(self.source.build(), words, self.config)

    def losses(self, images: Tensor, labels: Tensor, class_attributes: Tensor) -> dict[str, Tensor]:
        """Return L_CLS, gamma L_AR, lambda_CED L_CED and lambda_SKD L_SKD, as far as they apply."""
        config, found = self.config, self.network.encode(images)
        prototypes = self.network.project_attributes(class_attributes)
        own, logits = prototypes[labels], self.compare(found["class"], prototypes)
        losses = {
            "classes": cross_entropy(logits, labels),
            "regression": config.lambda_ar * mse_loss(found["class"], own),
        }
        if config.visual:
            visual = self.compare(found["visual"], prototypes)
            ced = cross_entropy_divergence(visual, logits, labels, config.eta1, config.eta2)
            losses["divergence"] = config.lambda_ced * ced
        if config.semantic:
            skd = distillation(found["semantic"], own, config.consistency)
            losses["distillation"] = config.lambda_skd * skd
        return losses

    def logits(self, images: Tensor, class_attributes: Tensor) -> Tensor:
        """Return the class token's scores against the prototypes of the classes."""
        prototypes = self.network.project_attributes(class_attributes)
        return self.compare(self.network.encode(images)["class"], prototypes)

    def view(self, batch: NDArray[Any]) -> View:
        """Return the attention of the class token to patches, prompts present, rolled out.

        An attribute is seen where the last adapter looks for its words.
        """
        network = self.network
        last = network.strong[-1] if len(network.strong) else None
        adapter = last.adapter if isinstance(last, StrongFusion) else None
        looks: list[Tensor] = []

        def look(images: Tensor) -> tuple[Tensor, ...]:
            row = ClassRow("rollout")
            network.encode(images, row)
            patches = row.patches()[:, len(network.prompts) :]
            return (patches, looks.pop().transpose(1, 2)) if looks else (patches,)

        if adapter is None:
            return View(self.piecewise(batch, look)[0])

        def keep(_: nn.Module, given: tuple[Tensor, Tensor]) -> None:
            looks.append(adapter.weights(*map(adapter.normed, given)))

        with adapter.register_forward_pre_hook(keep):
            patches, attributes = self.piecewise(batch, look)
        return View(patches, None, attributes)


def cross_entropy_divergence(
    visual: Tensor, classes: Tensor, labels: Tensor, eta1: float, eta2: float
) -> Tensor:
    """L_CED = eta_1 log((CE_vp + CE_cls) / KL(vp || cls) + 1) + eta_2 CE_vp, of logits `[B, C]`."""
    right = cross_entropy(visual, labels)
    apart = consistency(classes, visual, "kl").clamp_min(LEAST_KL)
    both = right + cross_entropy(classes, labels)
    return eta1 * torch.log(both / apart + 1) + eta2 * right


def distillation(prompt: Tensor, own: Tensor, how: Consistency) -> Tensor:
    """L_SKD: divergence over the D features of prompt and prototype `[B, D]`, plus distance."""
    distance = torch.linalg.vector_norm(prompt.float() - own.float(), dim=-1).mean()
    total: Tensor = consistency(own, prompt, how) + distance
    return total
