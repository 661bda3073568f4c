"""What a side of a comparison runs: a request on standard input, one JSON answer a line.

    python -P -m zslbench.studies.regression.worker

It is run with this commit's code and with another's, so that each measures by its own metrics,
protocol and methods. What a request and an answer mean may not change without `MEASURE_VERSION`:
what is added, an older commit neither reads nor says.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

MEASURE_VERSION = 1


def main() -> None:
    """Answer the request; the answers have standard output to themselves."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from zslbench.errors import ZslbenchError

    request = json.load(sys.stdin)
    try:
        for answer in answers(request):
            print(json.dumps(answer), file=out, flush=True)
    except ZslbenchError as error:
        print(json.dumps({"refused": str(error)}), file=out, flush=True)


def answers(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield where the code lies, and then what is asked: the exact numbers, or measurements."""
    yield {"files": [import_module(name).__file__ for name in ("zslbench", "zslbench.methods")]}
    if request.get("exact"):
        from zslbench.studies.regression.exact import measure_exact

        yield measure_exact(request.get("methods"))
    else:
        yield from measurements(request)


def measurements(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what each cell is; then every seed and repeat, chosen and scored in a tuning world.

    A seed is a tuning world of its own: class split, images held out, initialisation, order. No
    test label is read. A repeat other than 0 is fitted in the same world from other random
    numbers: what two repeats differ by is what chance alone does.

    Args:
        request: `cells` (`method`, `settings` and a `data` request each), `seeds`, `repeats`, and
            as `known` the `[choice_key, seed, repeat, device]` that are not to be measured again.
            With `stated`, what the cells are comes first, before anything is fitted.
    """
    from zslbench.environment import device_name
    from zslbench.protocol import fresh_worlds
    from zslbench.protocol.run import select

    if request.get("stated"):
        for number, cell in enumerate(request["cells"]):
            yield {"cell": number, **_stated(_job(cell))}
    known = {tuple(entry) for entry in request["known"]}
    for number, cell in enumerate(request["cells"]):
        job = _job(cell)
        worlds = fresh_worlds(job.dataset, max(request["seeds"]) + 1)
        for seed in request["seeds"]:
            for repeat in request["repeats"]:
                spec, began = job.spec, perf_counter()
                about = {"cell": number, "seed": seed, "repeat": repeat}
                about |= {"choice_key": spec.choice_key, "device": device_name()}
                if (spec.choice_key, seed, repeat, about["device"]) in known:
                    yield about
                    continue
                world = worlds[seed]
                if repeat:
                    world = replace(world, name=f"{world.name}, repeat {repeat}")
                choice = select(spec, job.dataset, worlds=[world])
                yield about | {
                    "method": spec.method,
                    "method_version": spec.method_version,
                    "dataset": spec.dataset,
                    "settings": spec.settings,
                    **_stated(job),
                    "device": device_name(),  # the method may have loaded torch meanwhile
                    "scores": choice.worlds[0].scores.model_dump(),
                    "epoch": choice.epoch,
                    "gamma": choice.gamma,
                    "seconds": perf_counter() - began,
                }


def _job(cell: dict[str, Any]) -> Any:
    """Return the one run that a cell plans."""
    from zslbench.data.load import DataRequest
    from zslbench.studies.plan import plan

    data = DataRequest(**{**cell["data"], "root": Path(cell["data"]["root"])})
    (job,) = plan([cell["method"]], [data], settings=cell["settings"], seeds=[0], worlds=1)
    return job


def _stated(job: Any) -> dict[str, Any]:
    """Return what must be the same on both sides of a comparison."""
    from zslbench.records import PROTOCOL_VERSION

    return {
        "data_digest": job.spec.data_digest,
        "protocol_version": PROTOCOL_VERSION,
        "measure_version": MEASURE_VERSION,
    }


if __name__ == "__main__":
    main()
