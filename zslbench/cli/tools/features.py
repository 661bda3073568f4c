"""`zslbench features`: extract features of any dataset's images with any backbone."""

from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt


def features(
    dataset: Annotated[str, typer.Option(help="A dataset's folder below --data-root.")],
    backbone: Annotated[
        str, typer.Option(help="Pretrained network, as for zslbench run --backbone.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write [default: BACKBONE.mat in the dataset's folder]."),
    ] = None,
    data_root: opt.DataRoot = opt.DATA_ROOT,
    images: opt.Images = None,
    weights: opt.Weights = None,
    json: opt.Json = False,
) -> None:
    """Write the backbone's features in the shape of res101.mat, for --features.

    Examples:
      zslbench features --dataset CUB --backbone deit_base_patch16_224.fb_in1k

      zslbench features --dataset CUB --backbone vit_tiny_patch16_224 --weights vit.safetensors
    """
    from zslbench.backbones.features import extract, write_mat
    from zslbench.backbones.registry import find_backbone
    from zslbench.cli.output import print_facts
    from zslbench.data.load import DataRequest, find_dataset, load_dataset
    from zslbench.studies.progress import Display

    folder = find_dataset(dataset, data_root)
    source = find_backbone(backbone, weights)
    request = DataRequest(dataset, data_root, image_size=source.size, images=images, resplit=True)
    with Display() as display:
        data = load_dataset(request, lambda done, n: display.tick("decoding images", done, n))
        found = extract(data, source, lambda done, n: display.tick("extracting", done, n))
    path = out or folder / f"{backbone.replace(':', '_')}.mat"
    write_mat(path, found, folder, len(data.classes.names))
    facts = {"file": str(path), "images": len(found), "features": found.shape[1]}
    text = f"{path}: {len(found)} x {found.shape[1]}; use it with --features {path.stem}"
    print_facts(facts, text, json=json)
