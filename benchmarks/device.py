"""Check the project on one GPU in one command, and write one report.

    python benchmarks/device.py --wheels WHEELS --report device.md

It runs under any python that has torch and timm, and installs nothing: wheels in the folder WHEELS
are unpacked into a temporary folder that goes on the path. It reads no dataset (birds are drawn,
all else is random) and takes under 8 minutes on one GPU. Each part runs in a process of its own, so
that one that fails or hangs leaves the others. `--device cpu` does the same in small: that tests
this script and says nothing of a GPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch

ROOT, CHILD = Path(__file__).resolve().parents[1], "ZSLBENCH_DEVICE_PART"
TOLERANCE = 1e-2  # of the largest of a list of exact numbers: between unlike devices, float32
WORDS, ATTRIBUTES, CLASSES = 300, 312, 150  # of CUB
CUDA = {"backbone": "random:vit_base_patch16_224", "images": 7057, "batch": 64, "rounds": 7}
CPU = {"backbone": "random:vit_tiny_patch16_224", "images": 16, "batch": 8, "rounds": 1}
Line = dict[str, Any]  # what was checked, whether it holds, what was found; or sizes


def conformance(_: Line) -> Iterator[Line]:
    """Every trained method: scores, batches, seed and state, in the device's precision."""
    from zslbench.method.conformance import CHECKS, QUICK

    for name, method in _networks().items():
        for check in QUICK:
            yield _tried(f"{name}, {check}", CHECKS[check], method)


def exact(_: Line) -> Iterator[Line]:
    """The exact tier's numbers (measured on a processor) in float32, five steps a method."""
    from zslbench.studies.regression.entries import load_entries, numbers_of
    from zslbench.studies.regression.exact import measure_exact, own_incremental

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    known = load_entries(ROOT)

    def gap(name: str) -> str:
        (found,) = numbers_of(measure_exact([name])).values()
        entries = [entry for entry in known[name] if entry.version == found.version]
        both = ((np.array(found.values[k]), np.array(v)) for k, v in entries[-1].values.items())
        off = np.max([abs(a - b).max(initial=0) / (abs(b).max(initial=0) or 1) for a, b in both])
        if not off <= TOLERANCE:  # true of nan
            raise AssertionError(f"off by {off:.1e} of the largest, more than {TOLERANCE:g}")
        return f"off by {off:.1e} of the largest (tolerance {TOLERANCE:g})"

    for name in [*_networks(), *(f"incremental/{name}" for name in own_incremental())]:
        yield _tried(name, gap, name)


def costs(size: Line) -> Iterator[Line]:
    """SVIP's step and scoring beside the attribute head's, in turns: the median ratio."""
    from zslbench.arithmetic import PRECISION

    yield _tried(f"svip over vit_attr_head, {size['backbone']}, {PRECISION}", _compared, size)


def epochs(size: Line) -> Iterator[Line]:
    """One epoch of the attribute head and of SVIP on random images of CUB's size and number."""
    for name in ("vit_attr_head", "svip"):
        title = f"{name}, {size['images']} images, batches of {size['batch']}, {size['backbone']}"
        yield _tried(title, _epoch, name, size)


# name -> what is done, its precision (None: the device's), the most seconds it may take on a GPU
PARTS: dict[str, tuple[Callable[[Line], Iterator[Line]], str | None, int]] = {
    "costs, bf16": (costs, "bfloat16", 70),
    "costs, fp32": (costs, "float32", 90),
    "epochs": (epochs, None, 90),
    "exact": (exact, "float32", 80),
    "conformance": (conformance, None, 130),
}


def _networks() -> dict[str, Any]:
    """Return the project's methods that are not solved in closed form, by name."""
    from zslbench.method import ClosedFormMethod
    from zslbench.method.registry import load_method
    from zslbench.studies.regression.exact import own_methods

    methods = {name: load_method(name) for name in own_methods()}
    return {n: m for n, m in methods.items() if not issubclass(m, ClosedFormMethod)}


def _prepared(name: str, size: Line, images: int) -> tuple[Any, Any]:
    """Return a method and random images to learn, of CUB's shape."""
    from zslbench.backbones.registry import find_backbone
    from zslbench.method import TrainSet
    from zslbench.method.registry import load_method

    source, rng = find_backbone(size["backbone"]), np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, source.size, source.size, 3), dtype=np.uint8)
    table, words = rng.random((CLASSES, ATTRIBUTES)), rng.normal(size=(ATTRIBUTES, WORDS))
    train = TrainSet(pixels, rng.integers(0, CLASSES, images), table, words, backbone=source)
    method = load_method(name)
    return method(method.Config(epochs=1, batch_size=size["batch"]), 0), train


def _compared(size: Line) -> str:
    both = [_prepared(name, size, 2 * size["batch"]) for name in ("svip", "vit_attr_head")]
    for model, train in both:
        next(model.fit(train))
    pairs = zip(*(_works(*one, size["batch"]) for one in both), strict=True)
    steps, scoring = (_ratio(*pair, size["rounds"]) for pair in pairs)
    return f"step {steps}; scoring {scoring}"


def _epoch(name: str, size: Line) -> str:
    model, train = _prepared(name, size, size["images"])
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    took, peak = _seconds(lambda: next(model.fit(train))), torch.cuda.max_memory_allocated()
    return f"{took:.1f} s; peak GPU memory {f'{peak / 2**30:.1f} GiB' if peak else 'not measured'}"


def _works(model: Any, train: Any, batch: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return a step on a batch that is on the device, and the scoring of one that is not yet."""
    images = model.loaded(train.inputs[:batch])
    labels = torch.from_numpy(train.labels[:batch]).to(images.device)
    known = images, labels, model.table(train.class_attributes)
    model.network.train()
    scoring = partial(model.scores, train.inputs[:batch], train.class_attributes)
    return lambda: model.step(*known), scoring


def _seconds(work: Callable[[], Any]) -> float:
    """Time work to its end: a GPU is waited for."""
    wait, began = torch.cuda.synchronize if torch.cuda.is_available() else int, time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def _ratio(ours: Callable[[], Any], plain: Callable[[], Any], rounds: int) -> str:
    """Return the median of ours over plain's, timed in turns, the first of which warms up."""
    turns = [(_seconds(ours), _seconds(plain)) for _ in range(rounds + 1)][1:]
    one, other = (1e3 * statistics.median(times) for times in zip(*turns, strict=True))
    return f"{statistics.median(a / b for a, b in turns):.2f} times ({one:.0f} and {other:.0f} ms)"


def _tried(what: str, work: Callable[..., str | None], *given: Any) -> Line:
    """Return what came of a check, or how it failed."""
    try:
        return {"what": what, "ok": True, "found": work(*given) or "passes"}
    except Exception as error:  # whatever it is, the next check goes on
        traceback.print_exc()
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return {"what": what, "ok": False, "found": reason[:300]}


def site_of(folder: Path, wheels: Path | None) -> Path:
    """Fill a folder for the path: the checkout as if it were installed, and wheels unpacked."""
    for wheel in sorted(wheels.glob("*.whl")) if wheels else []:
        ZipFile(wheel).extractall(folder)
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for made in (package := folder / "zslbench", about := folder / "zslbench-0.dist-info"):
        made.mkdir()
    for path in (ROOT / "zslbench").iterdir():
        (package / path.name).symlink_to(path)
    for name, place in setup["tool"]["setuptools"]["package-dir"].items():
        (package / name.removeprefix("zslbench.")).symlink_to(ROOT / place)
    (about / "METADATA").write_text("Name: zslbench\nVersion: 0\n")
    groups = setup["project"]["entry-points"].items()
    lines = [line for g, e in groups for line in (f"[{g}]", *(f"{k} = {v}" for k, v in e.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


def run_part(name: str, device: str, site: Path) -> tuple[list[Line], str]:
    """Run a part in a process of its own; return its lines, and why it ended early if it did."""
    _, precision, limit = PARTS[name]
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, CHILD: name, "PYTHONPATH": os.pathsep.join(paths),
           "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "ZSLBENCH_CACHE": str(site / "cache"),
           **({"ZSLBENCH_PRECISION": precision} if precision else {}),
           **({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})}  # fmt: skip
    command = sys.executable, __file__, "--device", device, "--part", name
    output, most = site / "lines", limit if device == "cuda" else None
    print(name, file=sys.stderr)
    try:
        with output.open("w") as lines:
            done = subprocess.run(command, env=env, stdout=lines, timeout=most, check=False)
        early = f"it ended with status {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        early = f"it was stopped after {limit} s"
    return [json.loads(line) for line in output.read_text().splitlines()], early


def report(where: str, parts: dict[str, tuple[list[Line], str]], device: str) -> str:
    """Return what was seen, what failed and what was not checked, as Markdown."""
    lines = [f"# zslbench on {where}", ""]
    for name, (found, early) in parts.items():
        checks = [f"* {'' if x['ok'] else 'FAILED '}{x['what']}: {x['found']}" for x in found]
        checks += [f"* FAILED: {early}; what would follow was not checked"] * bool(early)
        lines += [f"## {name}", "", str(PARTS[name][0].__doc__), "", *checks, ""]
    unchecked = [
        "that methods learn, and learn nothing from shuffled attributes (`make test-slow`)",
        "conformance of incremental methods; closed-form methods, which use no GPU",
        "several or other GPUs, pretrained weights, any accuracy on real images",
        *(f"{part}: was not asked for" for part in PARTS if part not in parts),
        *(["anything of a GPU: this ran on a processor, in small"] if device == "cpu" else []),
    ]
    return "\n".join([*lines, "## Not checked", "", *(f"* {what}" for what in unchecked), ""])


def main() -> int:
    """Run all parts and write the report; in a process started for a part, print its lines."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--wheels", type=Path, help="folder of wheels that this python lacks")
    parser.add_argument("--report", type=Path, default=Path("device.md"))
    parser.add_argument("--part", choices=PARTS, action="append", help="this part alone")
    asked = parser.parse_args()
    if CHILD in os.environ:
        for line in PARTS[asked.part[0]][0](CUDA if asked.device == "cuda" else CPU):
            print(json.dumps(line), flush=True)
        return 0
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here: --device cpu tries the script without one")
    if asked.wheels and not any(asked.wheels.glob("*.whl")):
        parser.error(f"--wheels {asked.wheels}: there is no wheel in this folder")
    name = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        site = site_of(Path(folder), asked.wheels)
        parts = {part: run_part(part, asked.device, site) for part in asked.part or PARTS}
    asked.report.write_text(report(f"{name}, torch {torch.__version__}", parts, asked.device))
    return int(any(early or not all(x["ok"] for x in found) for found, early in parts.values()))


if __name__ == "__main__":
    sys.exit(main())
