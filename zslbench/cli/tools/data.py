"""`zslbench data`: what is there, whether it is sound, and making it ready."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from zslbench.cli import options as opt

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A dataset's folder below --data-root, in any case.")]


@app.callback()
def data() -> None:
    """List, describe, verify, prepare, build datasets.

    Examples:
      zslbench data list --data-root ~/data

      zslbench data verify CUB --data-root ~/data

      zslbench data build birds --images photos/ --attributes birds.csv --data-root ~/data
    """


@app.command("list")
def list_(data_root: opt.DataRoot = opt.DATA_ROOT, json: opt.Json = False) -> None:
    """List the datasets below --data-root.

    Examples:
      zslbench data list --data-root ~/data
    """
    from zslbench.cli.output import print_json
    from zslbench.data.load import find_datasets
    from zslbench.errors import ZslbenchError

    datasets = find_datasets(data_root)
    if not datasets:
        raise ZslbenchError(
            f"--data-root {data_root}: no folder here holds an att_splits.mat. Put xlsa17's "
            "folders (CUB, AWA2, SUN) here, or make a dataset with zslbench data build."
        )
    if json:
        print_json({name: str(folder) for name, folder in datasets.items()})
    else:
        print("\n".join(datasets))


@app.command()
def describe(name: Name, data_root: opt.DataRoot = opt.DATA_ROOT, json: opt.Json = False) -> None:
    """Show a dataset in numbers.

    Examples:
      zslbench data describe CUB --data-root ~/data
    """
    from zslbench.data.verify import verify

    _print_facts(verify(name, data_root), json=json)


@app.command("verify")
def verify_(
    name: Name,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    images: opt.Images = None,
    json: opt.Json = False,
) -> None:
    """Check a dataset; exit status 2 if anything is wrong with it.

    Examples:
      zslbench data verify CUB --data-root ~/data

      zslbench data verify SUN --images ~/SUNAttributeDB/images
    """
    from zslbench.data.verify import verify

    found = verify(name, data_root, images)
    _print_facts(found, json=json)
    raise typer.Exit(2 if found.problems else 0)


@app.command()
def prepare(
    name: Name,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    images: opt.Images = None,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side in pixels.")] = 224,
    json: opt.Json = False,
) -> None:
    """Decode all images once into the pixel cache (ZSLBENCH_CACHE, default ~/.cache/zslbench).

    Examples:
      zslbench data prepare cub20 --data-root ~/data --size 224
    """
    from zslbench.cli.output import print_json
    from zslbench.data.load import DataRequest, load_dataset
    from zslbench.studies.progress import Display

    request = DataRequest(name, data_root, image_size=size, images=images, resplit=True)
    with Display() as display:
        dataset = load_dataset(
            request, lambda done, total: display.tick("decoding images", done, total)
        )
    facts = {"dataset": dataset.name, "images": len(dataset.inputs), "size": size,
             "digest": dataset.digest}  # fmt: skip
    if json:
        print_json(facts)
    else:
        print(f"{dataset.name}: {len(dataset.inputs)} images at {size} px are ready")


@app.command()
def sheet(
    name: Annotated[str, typer.Argument(help="A dataset's folder, or plumage[:knob=n,...].")],
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("sheet.png"),
    count: Annotated[int, typer.Option(min=1, max=24, help="How many images.")] = 8,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    images: opt.Images = None,
) -> None:
    """Draw some training images, one a class, and their parts where these are known.

    Examples:
      zslbench data sheet plumage

      zslbench data sheet plumage:clutter=90 --out cluttered.png
    """
    import numpy as np

    from zslbench.data.load import DataRequest, load_dataset
    from zslbench.report.sheet import contact_sheet
    from zslbench.studies.progress import Display

    request = DataRequest(name, data_root, image_size=224, images=images, resplit=True)
    with Display() as display:
        data = load_dataset(request, lambda done, n: display.tick("decoding images", done, n))
    labels, first = np.unique(data.train_labels, return_index=True)
    items = data.splits.trainval[first[:count]]
    titles = [data.classes.names[label].replace("_", "\n", 2) for label in labels[:count]]
    parts = data.parts
    maps, names = (parts.part_maps[items], parts.names) if parts else (None, None)
    contact_sheet(out, data.inputs[items], titles, maps, names)
    print(out)


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="Name of the new dataset's folder.")],
    images: Annotated[Path, typer.Option(help="Folder with one folder of images a class.")],
    attributes: Annotated[
        Path, typer.Option(help="CSV: first column the class, other columns attributes.")
    ],
    data_root: opt.DataRoot = opt.DATA_ROOT,
    unseen: Annotated[
        str, typer.Option(help="Share of classes to hold out as unseen, or their names a,b,c.")
    ] = "0.25",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the splits.")] = 0,
    json: opt.Json = False,
) -> None:
    """Make a dataset of your own images and class attributes, in the shape of xlsa17.

    Examples:
      zslbench data build birds --images photos/ --attributes birds.csv --data-root ~/data

      zslbench data build birds --images photos/ --attributes birds.csv --unseen wren,robin
    """
    from zslbench.cli.output import print_json
    from zslbench.data.formats.folder import build_dataset
    from zslbench.errors import ZslbenchError

    if Path(name).name != name:
        raise ZslbenchError(f"{name!r} is a path: name the new dataset's folder, no more.")
    try:
        held: float | list[str] = float(unseen)
    except ValueError:
        held = opt.parse_list(unseen)
    summary = build_dataset(images, attributes, data_root / name, unseen=held, seed=seed)
    if json:
        print_json({**asdict(summary), "folder": str(summary.folder)})
        return
    print(
        f"{summary.folder}: {len(summary.seen)} seen and {len(summary.unseen)} unseen classes, "
        f"{summary.attributes} attributes; {summary.trainval} images to learn from, "
        f"{summary.test_seen} + {summary.test_unseen} to test on; "
        f"{summary.ignored} files that are no images were passed over"
    )


def _print_facts(found: Any, *, json: bool) -> None:
    from zslbench.cli.output import print_json

    if json:
        print_json({"name": found.name, **found.facts, "problems": found.problems,
                    "notes": found.notes})  # fmt: skip
        return
    print(found.name)
    for key, value in found.facts.items():
        print(f"  {key.replace('_', ' '):16} {value}")
    for note in found.notes:
        print(f"  note: {note}")
    for problem in found.problems:
        print(f"  PROBLEM: {problem}")
