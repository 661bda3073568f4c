"""What is published where: `sources.toml`, one table a dataset."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from zslbench.errors import reading, unknown
from zslbench.inputs import folded

FILE = Path(__file__).with_name("sources.toml")
SPLITS = "xlsa17"
HELD = ("CUB", "AWA1", "AWA2", "SUN", "APY")


@dataclass(frozen=True)
class Source:
    """A dataset as it is published.

    Attributes:
        name: Of the dataset, or `xlsa17`, which has splits and features of several.
        page: Its publisher's page about it.
        url: Of its archive; empty where there is none to fetch.
        hash: What the publisher says of the archive, such as `md5:...`; empty if nothing.
        unpacked: The most gigabytes that the archive may unpack to.
        images: The folder in the archive that holds the images.
        files: What else is taken out of it.
    """

    name: str
    page: str
    url: str = ""
    hash: str = ""
    unpacked: float = 0.0
    images: str = ""
    files: tuple[str, ...] = ()

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return self.url.rpartition("/")[2]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that become folders."""
        return HELD if self.name == SPLITS else (self.name,)


def find_source(name: str) -> Source:
    """Return where a dataset is published, its name in any case.

    Raises:
        ZslbenchError: If no dataset of that name is listed.
    """
    with reading(FILE, "cannot be read", "Correct it."):
        tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
        known = {folded(key): Source(key, **table) for key, table in tables.items()}
    if folded(name) not in known:
        raise unknown("published dataset", name, tables)
    return known[folded(name)]
