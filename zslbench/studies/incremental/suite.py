"""Suites of task sequences as runnable data, one TOML file each (docs/task_sequences.md)."""

from pydantic import Field

from zslbench.method.registry import load_incremental
from zslbench.studies.plan import Entry
from zslbench.studies.suites import AnySuite, SuiteRow, find_suite, parse_text, shipped


class IncrementalSuite(AnySuite):
    """A table of methods along task sequences.

    Attributes:
        backbone: As `--backbone`; so are `image_size`, `descriptions`, `base` and `increment`.
        rows: The table's lines.
    """

    backbone: str | None = None
    image_size: int | None = Field(default=None, ge=1)
    descriptions: str | None = None
    base: int = 0
    increment: int
    rows: list[SuiteRow] = Field(min_length=1)

    def entries(self) -> list[Entry]:
        """Return the lines.

        Raises:
            ZslbenchError: On a method, setting or value that there is not, two rows of one name or
                of one run, a reference that is no row.
        """
        found = [self.line(row, load_incremental) for row in self.rows]
        self.check(found, [entry.label for entry in found])
        return found


def read_incremental_suite(name: str) -> IncrementalSuite:
    """Read a suite: one that comes with the package by its name, your own by its path.

    Raises:
        ZslbenchError: If there is none, with the nearest name; or it is not as it should be.
    """
    said = find_suite(name, shipped("incremental"), "suite of task sequences")
    return parse_text(IncrementalSuite, *said)
