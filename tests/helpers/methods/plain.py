"""Computations as they are written down, to compare ours with: scans, generators, layers."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def plain_selective_scan(x, step, log_rate, entry, leave):
    """Mamba's Eq. 2 and 3, place by place."""
    state, outputs = torch.zeros_like(x[:, 0]), []
    rate = -log_rate.exp()[:, None]
    for t in range(x.shape[1]):
        delta = F.softplus(step[:, t])
        state = torch.exp(delta * rate) * state + delta * entry[:, t] * x[:, t]
        outputs.append(leave[:, t] * state)
    return torch.stack(outputs, dim=1)


def layers(*sizes, last=None):
    """Linear layers with leaky ReLUs between them, and something after the last."""
    found = []
    for entry, leave in pairwise(sizes):
        found += [nn.Linear(entry, leave), nn.LeakyReLU(0.2)]
    return nn.Sequential(*found[:-1], *([last] if last else []))


def alike(plain, ours):
    """Give a plain network the parameters of ours, in order; return it."""
    for mine, its in zip(plain.parameters(), ours.parameters(), strict=True):
        mine.data = its.detach().clone()
    return plain


def adam_of(lr, *parts, beta=0.5):
    parameters = [p for part in parts for p in part.parameters()]
    return torch.optim.Adam(parameters, lr, (beta, 0.999), fused=True)


def plain_clswgan(network, lr):
    """Plain networks with the weights of f-CLSWGAN's, and their optimisers."""
    (size, hidden), seen = (
        network.generator.features.weight.shape,
        len(network.preclassifier.weight),
    )
    attributes = network.generator.hidden.in_features // 2
    net = {
        "generator": alike(layers(2 * attributes, hidden, size, last=nn.ReLU()), network.generator),
        "critic": alike(layers(size + attributes, hidden, 1), network.critic),
        "judge": alike(layers(size, seen), network.preclassifier),
    }
    return net, {name: adam_of(lr, net[name]) for name in ("generator", "critic")}


def plain_vaegan(network, lr):
    """Plain networks with the weights of a VAE-GAN's, and their optimisers."""
    size, hidden = network.generator.features.weight.shape
    k, ours = network.generator.hidden.in_features // 2, network.encoder
    net = {
        "encoder": alike(layers(size + k, hidden, 2 * k), ours.hidden),
        "mean": alike(nn.Linear(2 * k, k), ours.mean),
        "log_variance": alike(nn.Linear(2 * k, k), ours.log_variance),
        "generator": alike(layers(2 * k, hidden, size, last=nn.Sigmoid()), network.generator),
        "critic": alike(layers(size + k, hidden, 1), network.critic),
    }
    return net, {
        "encoder": adam_of(lr, net["encoder"], net["mean"], net["log_variance"], beta=0.9),
        "generator": adam_of(lr, net["generator"]),
        "critic": adam_of(lr, net["critic"]),
    }


def plain_tf_vaegan(network, lr, decoder_lr, feedback_lr):
    """Plain networks with the weights of TF-VAEGAN's, and their optimisers."""
    net, optimisers = plain_vaegan(network, lr)
    (size, hidden), k = network.generator.features.weight.shape, net["mean"].out_features
    net["decoder"] = alike(layers(size, hidden, k), network.decoder)
    loop = layers(hidden, hidden, hidden, last=nn.LeakyReLU(0.2))
    net["feedback"] = alike(loop, network.feedback)
    optimisers["decoder"] = adam_of(decoder_lr, net["decoder"])
    optimisers["feedback"] = adam_of(feedback_lr, net["feedback"])
    return net, optimisers


def both(one, other):
    return torch.cat([one, other], dim=1)


def plain_critic_step(critic, optimiser, real, fake, attributes, gamma, penalty):
    """WGAN-GP (Gulrajani et al., Algorithm 1), the gradients of its terms added up."""
    critic.zero_grad()
    (-gamma * critic(both(real, attributes)).mean()).backward()
    (gamma * critic(both(fake, attributes)).mean()).backward()
    share = torch.rand(len(real), 1)
    mixed = (share * real + (1 - share) * fake).requires_grad_()
    values = critic(both(mixed, attributes))
    slopes = torch.autograd.grad(values, mixed, torch.ones_like(values), create_graph=True)[0]
    raw = ((slopes.norm(2, dim=1) - 1) ** 2).mean()
    (gamma * penalty * raw).backward()
    optimiser.step()
    return float(raw.detach())


def plain_clswgan_step(net, optimisers, batches, penalty=10.0, beta=0.01):
    """One step of f-CLSWGAN's generator, after the critic's, one for each batch."""
    net["critic"].requires_grad_(True)
    for real, attributes, _ in batches:
        with torch.no_grad():
            fake = net["generator"](both(torch.randn_like(attributes), attributes))
        plain_critic_step(net["critic"], optimisers["critic"], real, fake, attributes, 1.0, penalty)
    net["critic"].requires_grad_(False)
    net["generator"].zero_grad()
    _, attributes, labels = batches[-1]
    fake = net["generator"](both(torch.randn_like(attributes), attributes))
    loss = -net["critic"](both(fake, attributes)).mean()
    loss = loss + beta * F.nll_loss(F.log_softmax(net["judge"](fake), dim=1), labels)
    loss.backward()
    optimisers["generator"].step()


def plain_l1(found, truth):
    apart = (found - truth).abs()
    return (apart**2 / (apart**2).sum(1, keepdim=True).sqrt() * apart).sum() / len(found)


def plain_code(net, real, attributes):
    hidden = F.leaky_relu(net["encoder"](both(real, attributes)), 0.2)
    return net["mean"](hidden), net["log_variance"](hidden)


def drawn_code(mean, log_variance):
    return torch.randn_like(mean) * torch.exp(0.5 * log_variance) + mean


def plain_vae_loss(found, real, mean, log_variance):
    likely = real * found.log() + (1 - real) * (1 - found).log()
    return (-likely.sum() - (1 + log_variance - mean**2 - log_variance.exp()).sum() / 2) / len(real)


def plain_generator_gradients(
    net, real, attributes, generate, predict, gamma, recons, *, encoded=True
):
    """The gradients of a VAE-GAN's generator: of the VAE, the critic, and predicted attributes."""
    net["critic"].requires_grad_(False)
    for part in net.values():
        part.zero_grad()
    mean, log_variance = plain_code(net, real, attributes)
    found = generate(drawn_code(mean, log_variance), attributes)
    loss = plain_vae_loss(found, real, mean, log_variance)
    fake = found if encoded else generate(torch.randn_like(attributes), attributes)
    loss = loss - gamma * net["critic"](both(fake, attributes)).mean()
    loss = loss + recons * plain_l1(predict(fake), attributes)
    loss.backward()


def plain_tf_vaegan_step(
    net, optimisers, batches, penalty, *, fed, encoded=True, a1=1.0, gamma=10.0, recons=0.01
):
    """One step of TF-VAEGAN's generator, after the critic's and the decoder's; the raw penalty."""
    first, second, raw = net["generator"][:2], net["generator"][2:], 0.0

    def generate(noise, attributes):
        if not fed:
            return net["generator"](both(noise, attributes))
        with torch.no_grad():
            hidden = net["decoder"][:2](net["generator"](both(noise, attributes)))
        return second(first(both(noise, attributes)) + a1 * net["feedback"](hidden))

    def decode(features):
        return F.normalize(net["decoder"](features), dim=1)

    net["critic"].requires_grad_(True)
    for real, attributes, _ in batches:
        net["decoder"].zero_grad()
        (recons * plain_l1(decode(real), attributes)).backward()
        optimisers["decoder"].step()
        with torch.no_grad():
            code = plain_code(net, real, attributes)
            noise = drawn_code(*code) if encoded else torch.randn_like(attributes)
            fake = generate(noise, attributes)
        critic = net["critic"], optimisers["critic"]
        raw += plain_critic_step(*critic, real, fake, attributes, gamma, penalty) / len(batches)
    plain_generator_gradients(
        net, real, attributes, generate, decode, gamma, recons, encoded=encoded
    )
    for name in ("encoder", "generator", "decoder", *(["feedback"] if fed else [])):
        optimisers[name].step()
    return raw


def plain_free(network, lr, decoder_lr):
    """Plain networks with the weights of FREE's, and their optimisers."""
    net, optimisers = plain_vaegan(network, lr)
    (size, hidden), part = network.generator.features.weight.shape, network.refinement
    refinement = layers(size, hidden, 2 * net["mean"].out_features)
    net["refinement"] = alike(refinement, nn.ModuleList([part.first, part.last]))
    net["centres"] = nn.ParameterList([part.centres.detach().clone()])
    optimisers["refinement"] = adam_of(decoder_lr, net["refinement"])
    optimisers["centres"] = adam_of(lr, net["centres"])
    return net, optimisers


def plain_free_step(net, optimisers, batches, penalty, *, nearest, settings):
    """One step of FREE's generator, after the critic's and the refinement's; the raw penalty."""
    gamma, recons, weight, margin, balance = settings
    (centres,), raw = net["centres"], 0.0

    def generate(noise, attributes):
        return net["generator"](both(noise, attributes))

    def refine(features):
        code = net["refinement"](features)
        return code[:, : code.shape[1] // 2], torch.sigmoid(code[:, code.shape[1] // 2 :])

    def predict(features):
        mean, deviation = refine(features)
        return torch.sigmoid(torch.randn_like(mean) * deviation + mean)

    def others_of(means, labels):
        if not nearest:
            return (labels + torch.randint(1, len(centres), labels.shape)) % len(centres)
        found = []
        for mean, label in zip(means, labels.tolist(), strict=True):
            away = [float(((mean - c) ** 2).sum().detach()) for c in centres]
            found.append(min((d, c) for c, d in enumerate(away) if c != label)[1])
        return torch.tensor(found)

    net["critic"].requires_grad_(True)
    for real, attributes, labels in batches:
        net["refinement"].zero_grad()
        net["centres"].zero_grad()
        means, deviation = refine(real)
        others, terms = others_of(means, labels), []
        for mean, own, other in zip(means, labels, others, strict=True):
            near, far = ((mean - centres[c]) ** 2 for c in (own, other))
            terms.append(F.relu(margin + balance * near.sum() - (1 - balance) * far.sum()))
        told = torch.sigmoid(torch.randn_like(means) * deviation + means)
        (weight * sum(terms) / len(terms) + recons * plain_l1(told, attributes)).backward()
        optimisers["refinement"].step()
        optimisers["centres"].step()
        with torch.no_grad():
            fake = generate(drawn_code(*plain_code(net, real, attributes)), attributes)
        critic = net["critic"], optimisers["critic"]
        raw += plain_critic_step(*critic, real, fake, attributes, gamma, penalty) / len(batches)
    plain_generator_gradients(net, real, attributes, generate, predict, gamma, recons)
    for name in ("encoder", "generator", "refinement"):
        optimisers[name].step()
    return raw


def noise(*shape, seed=0):
    """Standard normal numbers of a shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stirred(module):
    """The module with noise on all parameters, so that none is near its neutral start."""
    chance = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    return module.eval()


def linear(layer, x):
    """A linear layer of one vector."""
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def normed(layer, x):
    """A layer norm of one vector."""
    scaled = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def relu(x):
    """What of x is positive."""
    return np.maximum(x, 0)


class Shown(torch.nn.Identity):
    """A backbone that takes maps `[B, N, D]` for images, and shows them as they are."""

    def __init__(self, width):
        super().__init__()
        self.width = width


def entropy_of(logits, label):
    """The cross-entropy of one image's logits, in nats."""
    return np.log(np.exp(logits).sum()) - logits[label]


def calibrated(logits, seen, margin=1.0):
    """Minus the log of the mean mass of unseen classes, after +-1, image by image."""
    masses = []
    for row in logits:
        moved = np.exp(row + margin * np.where(np.arange(len(row)) < seen, -1, 1))
        masses.append(moved[seen:].sum() / moved.sum())
    return -np.log(np.mean(masses))
