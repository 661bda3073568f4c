"""Options that several commands share, each declared once; `spread` puts a group into a command."""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from zslbench.errors import ZslbenchError, refuse_repeated
from zslbench.inputs import expanded, finite, whole

if TYPE_CHECKING:
    from zslbench.data.load import DataRequest

DataRoot = Annotated[
    Path, typer.Option(envvar="ZSLBENCH_DATA", help="Folder that holds the datasets' folders.")
]
Results = Annotated[Path, typer.Option(envvar="ZSLBENCH_RESULTS", help="Folder of the results.")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on standard output and nothing else."),
]
Details = Annotated[
    bool,
    typer.Option(
        "--details",
        help="Print all intervals, what was chosen, controls and readings of the test labels.",
    ),
]
MethodFiles = Annotated[
    list[Path] | None,
    typer.Option(help="A Python file with a method, which is named after the file; repeatable."),
]
Features = Annotated[
    str | None,
    typer.Option(
        help="Feature file: NAME of the dataset's NAME.mat, a .npy, .npz, .h5 or .safetensors by "
        "its whole name, or a path to any of them (default: res101, or the only one)."
    ),
]
Images = Annotated[
    Path | None, typer.Option(help="Folder of the images, where it is not the dataset's own.")
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="Pretrained network for images: any ViT, CNN or EfficientViM of timm's, "
        "vmamba_small_224 and its like with --weights, an image-text pair (plumage_clip, "
        "clip:MODEL.TAG of open_clip's), or random:NAME for an untrained one. Plumage brings its "
        "own."
    ),
]
Weights = Annotated[Path | None, typer.Option(help="A local file with the backbone's weights.")]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Side in pixels of the backbone's images, where it is not the network's own; position "
        "embeddings are resized.",
    ),
]
FrozenBlocks = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="How many blocks of a ViT, the first ones, are never trained; without augmentation "
        "they are computed once for each image.",
    ),
]
Mean = Annotated[
    tuple[float, float, float] | None,
    typer.Option(help="Mean of the input of --weights, r g b in 0 to 1 (default: as the file's "
                      "metadata say, else the architecture's)."),
]  # fmt: skip
Std = Annotated[
    tuple[float, float, float] | None, typer.Option(help="Likewise, its standard deviation.")
]
Pretraining = Annotated[
    str | None,
    typer.Option("--exposure", help="Likewise, what the pretraining saw: 1k, 21k, web, unknown."),
]
FineTuned = Annotated[
    bool,
    typer.Option(
        "--fine-tuned",
        help="State that labels of all seen classes trained the network behind --features, or else "
        "the backbone, where the file does not say so: nothing can be tuned with it.",
    ),
]
Words = Annotated[
    str | None,
    typer.Option(help="Word vectors of the attribute names: a GloVe text file, a .npy table with "
                      "one row an attribute, or `random` (plumage has its own). They are made unit "
                      "means; sum:FILE takes raw sums, as the papers' code did; the control "
                      "shuffled:FILE deals them to other attributes (shuffled:plumage)."),
]  # fmt: skip
Descriptions = Annotated[
    str | None,
    typer.Option(help="Class descriptions for methods that read text: `names`, `attributes` "
                      "(sentences made from them; plumage's default), or a JSON file "
                      "of lists of sentences, or of documents, by class."),
]  # fmt: skip
Resplit = Annotated[
    bool,
    typer.Option(
        "--resplit", help="Ignore train_loc and val_loc of a splits file in which they leak."
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(help="Seeds, such as 0,1,2 (default: 0,1,2; 0 for deterministic methods)."),
]
Worlds = Annotated[
    int,
    typer.Option(
        min=1, max=20, help="Number of validation splits (tuning worlds); fewer than 3 is flagged."
    ),
]
TUNING_SEEDS = "Fits per validation split, whose curves are averaged; 1 for deterministic methods."
TuningSeeds = Annotated[int, typer.Option(min=1, max=20, help=TUNING_SEEDS)]
Rules = Annotated[
    str,
    typer.Option("--rules", "--rule",
                 help="Rules to show: validation, last, published (chosen on test; marked)."),
]  # fmt: skip
Settings = Annotated[
    list[str], typer.Option("--set", help="A setting of the method, key=value; repeatable.")
]
Dataset = Annotated[
    str, typer.Option(help="A dataset's folder below --data-root, or plumage[:knob=n,...].")
]
Method = Annotated[str, typer.Argument(help="A method's name; see zslbench methods.")]
Plan = Annotated[
    bool, typer.Option("--plan", help="Print what would run and how long it may take; run nothing.")
]
Retry = Annotated[bool, typer.Option("--retry", help="Run failed runs again.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1,
        help="Number of parallel jobs (default: 1; on Ray one for each GPU, else for each node): "
        "processes that share the processors, with one GPU each where there are several.",
    ),
]  # fmt: skip
EngineName = Annotated[
    str, typer.Option(help="Where runs are done: local, or ray for many machines.")
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster, such as HOST:6379 (default: Ray is started here).")
]

DATA_ROOT = Path("data")
RESULTS = Path("results")
KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class PhotoOptions:
    """Where a dataset is found, and what its images are seen through."""

    data_root: DataRoot = DATA_ROOT
    images: Images = None
    backbone: Backbone = None
    image_size: ImageSize = None
    weights: Weights = None
    frozen_blocks: FrozenBlocks = None
    mean: Mean = None
    std: Std = None
    exposure: Pretraining = None
    fine_tuned: FineTuned = False

    def request(self, name: str) -> "DataRequest":
        """Return the request for a dataset."""
        from zslbench.data.load import DataRequest

        options = asdict(self)
        return DataRequest(name, options.pop("data_root"), **options)


@dataclass(frozen=True)
class ImageOptions(PhotoOptions):
    """The same, with what describes the classes."""

    descriptions: Descriptions = None


@dataclass(frozen=True)
class DataOptions(ImageOptions):
    """The same, with features, word vectors and class splits."""

    features: Features = None
    words: Words = None
    resplit: Resplit = False


@dataclass(frozen=True)
class EngineOptions:
    """Where runs are done."""

    jobs: Jobs = None
    engine: EngineName = "local"
    address: Address = None


class Command(TyperCommand):
    """A command whose options and arguments read numbers and paths as all of zslbench does."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        # Lines of a paragraph flow into one, which the terminal wraps; examples keep theirs.
        self.help = re.sub(r"(?<![:\n])\n(?=\S)", " ", self.help or "")
        for parameter in self.params:
            read = partial(_read, parameter, parameter.process_value)
            parameter.process_value = read  # type: ignore[method-assign]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line that gives no option of one value twice: the last would win."""
        given = self.make_parser(ctx).parse_args([*args])[2]
        options = (one for one in given if isinstance(one, TyperOption))
        single = [one.opts[0] for one in options if not (one.multiple or one.is_flag)]
        refuse_repeated("The command line", single)
        return super().parse_args(ctx, args)


def _read(parameter: Any, process: Callable[..., Any], context: Any, text: Any) -> Any:
    """Return an option's value, from what is written or its default."""
    value = process(context, text)
    if isinstance(value, list | tuple):
        return [_one(parameter, *pair) for pair in zip(text or (), value, strict=True)]
    return _one(parameter, text, value)


def _one(parameter: Any, text: Any, value: Any) -> Any:
    """Refuse numbers that are not in ASCII digits, and expand `~` in paths."""
    if isinstance(value, Path):
        return expanded(text)
    if isinstance(text, str) and isinstance(value, int | float) and not isinstance(value, bool):
        read = whole if isinstance(value, int) else finite
        if read(text) is None:
            raise typer.BadParameter(f"{text!r} is not a valid number.", param=parameter)
    return value


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the groups that it takes, after its own."""
    signature = inspect.signature(command)
    taken = signature.parameters.values()
    groups: dict[str, Any] = {p.name: p.annotation for p in taken if is_dataclass(p.annotation)}
    options = [option.replace(kind=KEYWORD) for option in taken if option.name not in groups]
    options += [
        inspect.Parameter(option.name, KEYWORD, default=option.default, annotation=option.type)
        for group in groups.values()
        for option in fields(group)
    ]

    @wraps(command)
    def call(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    call.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    call.__annotations__ = {option.name: option.annotation for option in options}
    return call


def run_script(command: Callable[..., None]) -> None:
    """Run the one command of a script; what the user can fix is a paragraph and exit status 2."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command(cls=Command)(command)
    try:
        app()
    except ZslbenchError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(2)


def parse_seeds(text: str | None) -> list[int] | None:
    """Return the seeds named, None where none are."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    seeds = sorted(seed for part in parts if (seed := whole(part)) is not None and seed >= 0)
    if len(seeds) < len(parts):
        raise ZslbenchError(f"--seeds {text}: seeds are whole numbers, such as --seeds 0,1,2.")
    refuse_repeated("--seeds", seeds)
    return seeds


def parse_list(text: str) -> list[str]:
    """Return the names in a comma-separated list."""
    names = _parts(text)
    refuse_repeated(text, names)
    return names


def _parts(text: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise ZslbenchError(f"{text!r} names nothing: write names separated by commas.")
    return names


def parse_datasets(text: str) -> list[str]:
    """Return the datasets named; in `plumage:clutter=80,seed=3,CUB` knobs go with their name."""
    names: list[str] = []
    for part in _parts(text):
        if names and "=" in part and ":" not in part:
            names[-1] += f",{part}"
        else:
            names.append(part)
    refuse_repeated("--dataset", names)
    return names


def parse_settings(pairs: list[str]) -> dict[str, str | None]:
    """Return `key=value` settings; the value `none` is None."""
    settings: dict[str, str | None] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ZslbenchError(f"--set {pair}: write it as key=value, such as --set reg_x=10.")
        refuse_repeated("--set", [*settings, key.strip()])
        settings[key.strip()] = None if value.lower() == "none" else value
    return settings
