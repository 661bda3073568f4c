"""`zslbench explain`: pictures of where a finished run looks."""

from typing import Annotated

import typer

from zslbench.cli import options as opt

MOST = 24


def explain(
    run: Annotated[
        str,
        typer.Argument(
            help="The run: the start of its key (in leaderboard.html under a row's provenance), or "
            "its id in MLflow."
        ),
    ],
    items: Annotated[
        str,
        typer.Option(
            help="Number of test images to show, or their items with commas: 12,47 (one: 12,). "
            "Items are numbered as in the run's predictions.csv."
        ),
    ] = "6",
    data_root: opt.DataRoot = opt.DATA_ROOT,
    images: opt.Images = None,
    weights: opt.Weights = None,
    words: opt.Words = None,
    descriptions: opt.Descriptions = None,
    resplit: opt.Resplit = False,
    results: opt.Results = opt.RESULTS,
    json: opt.Json = False,
) -> None:
    """Draw which patches a run keeps, where it sees attributes, and its predictions in t-SNE.

    The method is fitted again, from the run's record, to its chosen epoch, and what it has learnt
    is kept, so that later calls are quick. No test labels are opened. The figures (PNG and PDF)
    go to results/explained/KEY and to the run in MLflow; parts are drawn in where they are known
    (plumage; datasets with a parts.csv). Photos with a parts.csv and a boxes.csv also give a table
    and a figure of how often a part is found where its attribute is seen, by APN's rule.

    Examples:
      zslbench explain 3f2a9c

      zslbench explain 3f2a9c --items 3,12,47

      zslbench explain 3f2a9c --data-root ~/data --words glove.txt --items 10
    """
    from zslbench.cli.output import print_document, print_facts
    from zslbench.store import Store
    from zslbench.store.find import find_run
    from zslbench.studies.explain.measure import explain as draw
    from zslbench.studies.explain.refit import job_of, request_of
    from zslbench.studies.progress import Display, say

    wanted = parse_items(items)
    store = Store(results)
    store.sync()
    stored = find_run(store, run)
    spec = stored.record.spec
    request = request_of(
        spec, data_root, images=images, weights=weights, words=words,
        descriptions=descriptions, resplit=resplit,
    )  # fmt: skip
    folder = store.results / "explained" / stored.record.key[:16]
    with Display() as display:
        job = job_of(spec, request, lambda done, n: display.tick("reading images", done, n))
        found = draw(stored, job, wanted, folder, request, display.tick)
    attached = store.attach(stored, found.files, "explained")
    if not attached:
        say("MLflow could not be reached, or does not have the run yet: the figures are here only.")
    facts = {
        "run": stored.record.key, "run_id": stored.run_id, "items": found.items,
        "agreement": found.agreement, "files": [*map(str, found.files)], "in_mlflow": attached,
        "located": found.located and found.located.to_dict(),
    }  # fmt: skip
    text = (f"{spec.method} on {spec.dataset}, seed {spec.seed}: fitted again, it answers as the "
            f"run did on {found.agreement:.1f} % of the images")  # fmt: skip
    print_facts(facts, "\n".join([text, *map(str, found.files)]), json=json)
    if found.located and not json:
        print_document(found.located.document())


def parse_items(text: str) -> int | list[int]:
    """Return how many images are meant, or which items."""
    from zslbench.errors import ZslbenchError, refuse_repeated
    from zslbench.inputs import whole

    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = [found for part in parts if (found := whole(part)) is not None and found >= 0]
    if not numbers or len(numbers) < len(parts) or len(numbers) > MOST:
        raise ZslbenchError(
            f"--items {text}: write how many, such as 6, or items, such as 12,47; at most {MOST}."
        )
    if "," in text:
        refuse_repeated("--items", numbers)
        return numbers
    if not 1 <= numbers[0] <= MOST:
        raise ZslbenchError(
            f"--items {text}: a number alone says how many, 1 to {MOST}; one item is written with "
            f"a comma: --items {text},"
        )
    return numbers[0]
