"""Scripts of `benchmarks/`, which are no package, as modules."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load_script(path):
    """Return a script, by its path below `benchmarks/`, as a module that is loaded anew."""
    spec = spec_from_file_location(Path(path).stem, BENCHMARKS / path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
