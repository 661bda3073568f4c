"""Small archives of the published layout, and a host on this machine that serves them."""

import pytest
from datasets import write_published
from servers import hosted

from zslbench.data.fetch import sources


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A folder with all published archives, small."""
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def moved(monkeypatch, tmp_path):
    """Return a function that has the archives published at another address, with no hash given."""

    def move(address):
        lines = sources.FILE.read_text().splitlines()
        lines = [line for line in lines if not line.startswith("hash")]
        urls = [f'url = "{address}/{line.rpartition("/")[2]}' for line in lines]
        file = tmp_path / "sources.toml"
        pairs = zip(lines, urls, strict=True)
        file.write_text("\n".join(url if line[:3] == "url" else line for line, url in pairs))
        monkeypatch.setattr(sources, "FILE", file)
        monkeypatch.setattr("zslbench.data.fetch.download.FILE", file)

    return move


@pytest.fixture
def host(published, moved, monkeypatch):
    """A host that serves the archives, and is where `sources.toml` says that they are."""
    with hosted({path.name: path.read_bytes() for path in published.glob("*.*")}) as serving:
        moved(serving.address)
        monkeypatch.setattr("zslbench.data.fetch.download.BLOCK", 100)
        yield serving
