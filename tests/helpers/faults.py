"""Seeded faults and harmless refactorings: texts of the project, and what they are changed to."""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Change:
    """One text of a file, replaced; it must be there exactly once, or `everywhere`."""

    name: str
    file: str
    old: str
    new: str
    everywhere: bool = False

    def apply(self, folder):
        path = folder / self.file
        text = path.read_text()
        count = text.count(self.old)
        assert count == 1 or (self.everywhere and count), f"{self.name}: {self.old!r} x {count}"
        path.write_text(text.replace(self.old, self.new))


def copy_of_project(folder, *changes):
    """Lay both packages into a folder, changed, as `pip install --target` does."""
    for source, name in (("zslbench", "zslbench"), ("methods", "zslbench/methods")):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / source, folder / name, ignore=ignored)
    for change in changes:
        change.apply(folder)
    return folder


SVIP, TRAINING = "zslbench/methods/svip.py", "zslbench/method/trained.py"

FAULTS = (
    Change(
        "sign of the consistency term", SVIP,
        "config.lambda1 * consistency(", "-config.lambda1 * consistency(",
    ),
    Change("top-M inverted", SVIP, "scores.topk(count, dim=1)", "(-scores).topk(count, dim=1)"),
    Change(
        "gamma added, not subtracted", "zslbench/metrics/curve.py",
        'np.searchsorted(self.steps, gamma, side="left")',
        'np.searchsorted(self.steps, -np.asarray(gamma), side="left")',
    ),
    Change(
        "attributes not normalised", "zslbench/data/plumage/dataset.py",
        "attributes=raw / np.linalg.norm(raw, axis=1, keepdims=True)", "attributes=raw",
    ),
    Change(
        "per-image accuracy", "zslbench/metrics/curve.py",
        'if average == "image":', 'if average in ("image", "class"):',
    ),
    Change(
        "loss detached", SVIP,
        "cross_entropy(one, labels) + cross_entropy(two, labels),",
        "(cross_entropy(one, labels) + cross_entropy(two, labels)).detach(),",
    ),
    Change(
        "patches in the wrong order", "zslbench/backbones/vit.py",
        "torch.cat([class_token, patches + positions], dim=1)",
        "torch.cat([class_token, patches.flip(1) + positions], dim=1)",
    ),
    Change(
        "training labels shifted by one", "zslbench/protocol/worlds.py",
        "renumber(labels[train], classes), ",
        "(renumber(labels[train], classes) + 1) % len(split.train), ",
    ),
    Change(
        "dropout left on at test", TRAINING,
        "function(self.loaded(inputs[first : first + size]))",
        "function(nn.functional.dropout(self.loaded(inputs[first : first + size]), 0.5))",
    ),
    Change(
        "learning rate x 10", TRAINING,
        'group["lr"] = group["initial"] * factor', 'group["lr"] = 10 * group["initial"] * factor',
    ),
    Change(
        "unseen attributes in another order", "zslbench/protocol/worlds.py",
        "rows = self.dataset.classes.attributes[self.classes]",
        "rows = self.dataset.classes.attributes[np.append(self.classes[:self.seen], "
        "self.classes[self.seen:][::-1])]",
    ),
    Change(
        "the worst epoch and settings chosen", "zslbench/protocol/choice.py",
        "int(np.argmax(ausuc))", "int(np.argmin(ausuc))",
    ),
    Change(
        "items one row from their labels", "zslbench/data/types.py",
        "inputs[items[wanted]]", "inputs[np.roll(items, 1)[wanted]]",
    ),
    Change(
        "targets of ESZSL against the sign", "zslbench/methods/eszsl.py",
        "(feature_basis.T @ sums.T)", "(feature_basis.T @ -sums.T)",
    ),
)  # fmt: skip

HARMLESS = (
    Change(
        "a function renamed", "zslbench/protocol/choice.py", "_h_at", "_harmonic_mean_at",
        everywhere=True,
    ),
    Change(
        "lines in another order", TRAINING,
        "            predicted = nn.functional.normalize(predicted, dim=-1)\n"
        "            table = nn.functional.normalize(table, dim=-1)\n",
        "            table = nn.functional.normalize(table, dim=-1)\n"
        "            predicted = nn.functional.normalize(predicted, dim=-1)\n",
    ),
    Change("scored in smaller batches", "zslbench/protocol/run.py", "BATCH = 4096", "BATCH = 32"),
    Change(
        "a product associated otherwise", TRAINING,
        "return scale * predicted @ table.T", "return scale * (predicted @ table.T)",
    ),
    Change(
        "cross-entropies summed in the other order", SVIP,
        "cross_entropy(one, labels) + cross_entropy(two, labels),",
        "cross_entropy(two, labels) + cross_entropy(one, labels),",
    ),
)  # fmt: skip
