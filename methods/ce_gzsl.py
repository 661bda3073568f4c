"""CE-GZSL: Han et al., "Contrastive Embedding for Generalized Zero-Shot Learning", CVPR 2021
(arXiv 2103.16173).

| point | paper | released code | here |
|---|---|---|---|
| scaling of features | - | min-max of training | the same |
| schedule | - | 130 to 1000 epochs, by dataset | `epochs` times `steps` |
| batch | - | 2048, AWA 4096 | 128; theirs in presets |
| alike, in a batch | - | all of a class; one alone takes no part | the same |
| classes compared | - | the seen | the same |
| gradients of the comparator | - | reset once an epoch, so they add up | reset each step |
| learning rate | - | by dataset, a hundredth less now and then | constant |
| final classifier | softmax of embeddings | 25 epochs, the best on test | the rule's epoch |
| its batch | - | `syn_num` | `classifier_batch`; so in presets |
| classifier of T1 | - | another, of unseen classes, 100 epochs | the same one, unseen columns |
| epoch of the generator | - | the best on test | the rule's |
| class descriptions of CUB | sentences | sentences | attributes |
| sizes | - | 4096, 2048, 512 | 512, 256, 128; theirs in presets |

"-" is where the paper's text was not at hand. The presets are the released settings in generator
steps: an epoch there has one for each batch. The rate falls by at most an eighth in all.
"""  # noqa: D205

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from zslbench.method import PublishedRule, TrainSet
from zslbench.method.generative import (
    Batch,
    GenerativeConfig,
    GenerativeMethod,
    GenerativeNetwork,
    adam,
    feature_size,
)
from zslbench.method.settings import count, hyper, weight
from zslbench.nn.gan import SLOPE, ConditionalGenerator, Critic, critic_loss, draw_weights
from zslbench.nn.losses import supervised_contrast
from zslbench.nn.relation import Relation


class Network(GenerativeNetwork):
    """Generator and critic of features, their embedding, its projection, and what compares it."""

    def __init__(self, config: "CEGZSL.Config", train: TrainSet) -> None:
        size, attributes = feature_size(train), train.class_attributes.shape[1]
        super().__init__(train, config.embedding)
        self.generator = ConditionalGenerator(
            attributes, attributes, config.hidden, size, nn.ReLU()
        )
        self.critic = Critic(size, attributes, config.hidden)
        self.embed = nn.Sequential(nn.Linear(size, config.embedding), nn.ReLU())
        self.project = nn.Linear(config.embedding, config.projection)
        self.compare = Relation(
            config.embedding, attributes, config.comparator, nn.LeakyReLU(SLOPE)
        )
        draw_weights(self)


def released(epochs: int, steps: int, syn_num: int, **others: float) -> dict[str, float]:
    """Return a preset: what the released settings of all datasets share, and what they do not."""
    sizes = {"hidden": 4096, "embedding": 2048, "projection": 512, "comparator": 2048}
    given = {"epochs": epochs, "steps": steps, "syn_num": syn_num, "classifier_batch": syn_num}
    return {**sizes, "batch_size": 2048, "lr": 1e-4, **given, **others}


class CEGZSL(GenerativeMethod):
    """A feature generator, and an embedding in which items and classes are contrasted."""

    class Config(GenerativeConfig):
        """Config of CE-GZSL."""

        presets: ClassVar = {
            "CUB": released(10, 180, 100),
            "AWA1": released(10, 65, 1800, batch_size=4096),
            "AWA2": released(10, 78, 2400, batch_size=4096),
            "SUN": released(
                10, 600, 100, lr=5e-5, comparator=1024, instance_weight=0.01, class_weight=0.01
            ),
            "FLO": released(10, 225, 600, comparator=1024, instance_weight=0.01, class_weight=0.01),
        }
        batch_size: int = hyper(128, "B", "features a step", 2, 16384)
        embedding: int = count(256, "dim h", "dimension of the embedding")
        projection: int = count(128, "dim z", "dimension of its projection")
        comparator: int = count(128, "h_F", "hidden units of the comparator")
        critic_steps: int = hyper(5, "n_critic", "critic steps a generator step", 1, 100)
        penalty: float = weight(10.0, "lambda", "weight of the gradient penalty")
        instance_weight: float = weight(1e-3, "w_i", "weight of the items' contrast, generator")
        class_weight: float = weight(1e-3, "w_c", "weight of the classes' contrast, generator")
        instance_temperature: float = hyper(0.1, "tau_e", "temperature of items", 0.01, 10.0)
        class_temperature: float = hyper(0.1, "tau_s", "temperature of classes", 0.01, 10.0)

    published = PublishedRule(
        epoch="best",
        source="released code: best epoch of generator and classifier on test, no calibration",
    )
    swept = ("lr", "instance_weight", "class_weight", "syn_num", "classifier_lr")
    network: Network

    def build(self, train: TrainSet) -> Network:
        """Return the network, and note which of its classes are seen."""
        self.seen = len(train.class_attributes)
        return Network(self.config, train)

    def make_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return that of the generator, and one of all that judges."""
        network, lr = self.network, self.config.lr
        judges = nn.ModuleList([network.critic, network.embed, network.project, network.compare])
        return {
            "generator": adam(network.generator.parameters(), lr),
            "judges": adam(judges.parameters(), lr),
        }

    def step(self, draw: Callable[[], Batch], number: int) -> dict[str, Tensor]:
        """Take the judges' steps, then one of the generator, for the last batch."""
        for _ in range(self.config.critic_steps):
            batch = draw()
            judged = self.judges_losses(batch)
            self.descend(torch.stack(list(judged.values())).sum(), "judges")
        terms = self.generator_losses(batch)
        self.descend(torch.stack(list(terms.values())).sum(), "generator")
        return judged | terms

    def judges_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the critic's loss with its penalty, and both contrasts of real features."""
        network, config = self.network, self.config
        with torch.no_grad():
            fake = self.generated(batch.attributes)
        loss, _ = critic_loss(
            network.critic, batch.features, fake, batch.attributes, config.penalty
        )
        embedded = network.embed(batch.features)
        return {
            "critic": loss,
            "items": self.contrast(self.projected(embedded), batch.labels),
            "classes": self.class_loss(embedded, batch.labels),
        }

    def generator_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return -mean D(x, a), and both contrasts of fakes x: of items, with real ones beside."""
        network, config = self.network, self.config
        fake = self.generated(batch.attributes)
        embedded = network.embed(fake)
        with torch.no_grad():
            real = self.projected(network.embed(batch.features))
        both = torch.cat([self.projected(embedded), real])
        return {
            "generator": -network.critic(fake, batch.attributes).mean(),
            "fake items": config.instance_weight * self.contrast(both, batch.labels.repeat(2)),
            "fake classes": config.class_weight * self.class_loss(embedded, batch.labels),
        }

    def projected(self, embedded: Tensor) -> Tensor:
        """Return unit vectors `[B, z]` of embeddings `[B, h]`."""
        return normalize(self.network.project(embedded), dim=1)

    def contrast(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Return how badly items are told from those of other classes."""
        return supervised_contrast(rows, labels, self.config.instance_temperature)

    def class_loss(self, embedded: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of the comparator's scores over the seen classes."""
        table = self.network.table[: self.seen].to(embedded.dtype)
        scores = self.network.compare(embedded, table) / self.config.class_temperature
        return cross_entropy(scores, labels)

    def generated(self, attributes: Tensor) -> Tensor:
        """Return a feature of each row of attributes, by as much noise."""
        fake: Tensor = self.network.generator(torch.randn_like(attributes), attributes)
        return fake

    def synthesise(self, attributes: Tensor) -> Tensor:
        """Return the embedding of a synthetic feature of each row of attributes."""
        return self.represent(self.generated(attributes))

    def represent(self, features: Tensor) -> Tensor:
        """Return embeddings `[b, h]`."""
        embedded: Tensor = self.network.embed(features)
        return embedded
