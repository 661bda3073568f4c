"""`zslbench features`: extract features of any dataset's images with any backbone."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt


@opt.spread
def features(
    dataset: Annotated[str, typer.Option(help="A dataset's folder below --data-root.")],
    data: opt.PhotoOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The .mat file to write, anywhere (default: in the dataset's folder, named after "
            "the backbone and --image-size)."
        ),
    ] = None,
    json: opt.Json = False,
) -> None:
    """Write the backbone's features in the shape of res101.mat, for --features.

    Examples:
      zslbench features --dataset CUB --backbone deit_base_patch16_224.fb_in1k

      zslbench features --dataset CUB --backbone vit_tiny_patch16_224 --weights vit.safetensors

      zslbench features --dataset CUB --backbone vit_small_patch14_dinov2 --image-size 196
    """
    from zslbench.backbones.features import extract, write_mat
    from zslbench.cli.output import print_facts
    from zslbench.data.load import find_dataset
    from zslbench.data.provide import DataSource
    from zslbench.errors import ZslbenchError
    from zslbench.studies.progress import Display
    from zslbench.studies.session import check_writable

    folder = find_dataset(dataset, data.data_root)
    request = replace(data.request(dataset), resplit=True)
    name = "_".join(map(str, filter(None, (data.backbone, data.image_size)))).replace(":", "_")
    path = out or folder / f"{name}.mat"
    if path.suffix != ".mat":
        raise ZslbenchError(f"--out {path}: features are written as .mat. Name a file NAME.mat.")
    check_writable(path.parent, "features in", "Name a file elsewhere with --out.")
    with Display() as display:
        source = DataSource(request, lambda done, n: display.tick("reading images", done, n))
        images = source.images
        network = source.source()
        found = extract(images, network, lambda done, n: display.tick("extracting", done, n))
    fine_tuned = network.record.fine_tuned
    write_mat(path, found, folder, len(images.classes.names), fine_tuned=fine_tuned)
    facts = {"file": str(path), "images": len(found), "features": found.shape[1]}
    named = path if out else path.stem
    text = f"{path}: {len(found)} x {found.shape[1]}; use it with --features {named}"
    print_facts(facts, text, json=json)
