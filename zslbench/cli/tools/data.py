"""`zslbench data`: what is there, whether it is sound, and making it ready."""

from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from zslbench.cli import options as opt
from zslbench.cli.output import decoded, print_facts, print_verified
from zslbench.cli.tools.archives import fetch, import_
from zslbench.inputs import finite, recordable

app = typer.Typer(no_args_is_help=True)
app.command(cls=opt.Command)(fetch)
app.command("import", cls=opt.Command)(import_)

Name = Annotated[str, typer.Argument(help="A dataset's folder below --data-root, in any case.")]


@app.callback()
def data() -> None:
    """Fetch, import, list, describe, verify, prepare, build datasets.

    Examples:
      zslbench data fetch CUB --data-root ~/data

      zslbench data list --data-root ~/data

      zslbench data verify CUB --data-root ~/data

      zslbench data build birds --images photos/ --attributes birds.csv --data-root ~/data
    """


@app.command("list", cls=opt.Command)
def list_(data_root: opt.DataRoot = opt.DATA_ROOT, json: opt.Json = False) -> None:
    """List the datasets below --data-root.

    Examples:
      zslbench data list --data-root ~/data
    """
    from zslbench.data.load import fault_of_name, find_datasets
    from zslbench.errors import ZslbenchError
    from zslbench.studies.progress import say

    datasets = find_datasets(data_root)
    if not datasets:
        raise ZslbenchError(
            f"--data-root {data_root}: no folder here holds an att_splits.mat. Put xlsa17's "
            "folders (CUB, AWA2, SUN) here, get them with zslbench data fetch, or make a dataset "
            "with zslbench data build."
        )
    for name, folder in datasets.items():
        if fault := fault_of_name(name):
            say(f"note: {fault} Rename the folder {str(folder)!r}.")
    found = {name: recordable(str(folder)) for name, folder in datasets.items()}
    print_facts(found, "\n".join(found), json=json)


@app.command(cls=opt.Command)
def describe(name: Name, data_root: opt.DataRoot = opt.DATA_ROOT, json: opt.Json = False) -> None:
    """Show a dataset in numbers.

    Examples:
      zslbench data describe CUB --data-root ~/data
    """
    from zslbench.data.verify import verify

    print_verified(verify(name, data_root), json=json)


@app.command("verify", cls=opt.Command)
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
    print_verified(found, json=json)
    raise typer.Exit(2 if found.problems else 0)


@app.command(cls=opt.Command)
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
    from zslbench.data.load import DataRequest

    data = decoded(DataRequest(name, data_root, image_size=size, images=images, resplit=True))
    count = len(data.inputs)
    facts = {"dataset": data.name, "images": count, "size": size, "digest": data.digest}
    print_facts(facts, f"{data.name}: {count} images at {size} px are ready", json=json)


@app.command(cls=opt.Command)
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

    from zslbench.data.load import DataRequest
    from zslbench.report.sheet import contact_sheet

    data = decoded(DataRequest(name, data_root, image_size=224, images=images, resplit=True))
    labels, first = np.unique(data.train_labels, return_index=True)
    items = data.splits.trainval[first[:count]]
    titles = [data.classes.names[label].replace("_", "\n", 2) for label in labels[:count]]
    parts = data.parts
    maps, names = (parts.part_maps[items], parts.names) if parts else (None, None)
    contact_sheet(out, data.inputs[items], titles, maps, names)
    print(out)


@app.command(cls=opt.Command)
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
    from zslbench.data.formats.folder import build_dataset
    from zslbench.data.load import fault_of_name
    from zslbench.errors import ZslbenchError

    if fault := fault_of_name(name):
        raise ZslbenchError(f"{fault} Choose another name.")
    held = finite(unseen)
    made = build_dataset(
        images,
        attributes,
        data_root / name,
        unseen=opt.parse_list(unseen) if held is None else held,
        seed=seed,
    )
    text = (
        f"{made.folder}: {len(made.seen)} seen and {len(made.unseen)} unseen classes, "
        f"{made.attributes} attributes; {made.trainval} images to learn from, {made.test_seen} + "
        f"{made.test_unseen} to test on; {made.ignored} files that are no images were passed over\n"
        f"next: zslbench run eszsl --dataset {quote(name)} --data-root {quote(str(data_root))} "
        "--backbone deit_base_patch16_224.fb_in1k"
    )
    print_facts({**asdict(made), "folder": str(made.folder)}, text, json=json)
