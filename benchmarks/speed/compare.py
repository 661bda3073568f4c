"""Compare two saved runs of the benchmarks, each in units of the reference timed beside it.

    python benchmarks/speed/compare.py NOW.json [BEFORE.json]

Without BEFORE, the latest that was saved on this machine. Exit status 1 if any is slower by half,
2 if there is nothing to compare with.

    python benchmarks/speed/compare.py --storage

prints where runs of this machine are saved.
"""

import hashlib
import json
import os
import platform
import sys
from pathlib import Path

SLOWER = 1.5


def storage():
    """Return the folder of this machine's runs: processor, cores, threads, interpreter."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    parts = [model, os.cpu_count(), os.environ.get("OMP_NUM_THREADS"), platform.python_version()]
    return Path(".benchmarks") / hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def in_references(saved):
    """Return each benchmark's fastest round, in references."""
    return {
        bench["fullname"]: bench["stats"]["min"] / bench["extra_info"]["reference seconds"]
        for bench in saved["benchmarks"]
        if "reference seconds" in bench["extra_info"]
    }


def compare(before, now):
    """Return (name, before, now, whether it is slower) of the benchmarks that both have."""
    old, new = in_references(before), in_references(now)
    shared = sorted(old.keys() & new.keys())
    return [(name, old[name], new[name], new[name] > SLOWER * old[name]) for name in shared]


def main(words):
    if words == ["--storage"]:
        print(f"file://{storage()}")
        return 0
    saved = [Path(words[1])] if len(words) > 1 else sorted(storage().rglob("*.json"))
    if not saved:
        print(f"nothing was saved on this machine ({storage()}): make bench-save", file=sys.stderr)
        return 2
    rows = compare(*(json.loads(path.read_text()) for path in (saved[-1], Path(words[0]))))
    if not rows:
        print(f"{saved[-1]} has none of these benchmarks: make bench-save", file=sys.stderr)
        return 2
    for name, was, is_, slower in rows:
        print(f"{was:10.3f} {is_:10.3f}  x {is_ / was:.2f}  {name}{'  SLOWER' if slower else ''}")
    count = sum(row[-1] for row in rows)
    print(f"{count} of {len(rows)} slower than {saved[-1]} by half or more, in references")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
