"""Downloads that resume, and whose content may not change from one fetch to the next."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from zslbench.data.fetch.archives import is_archive
from zslbench.data.fetch.sources import FILE, Source
from zslbench.data.types import OnProgress, no_progress
from zslbench.errors import DataError, ZslbenchError

if TYPE_CHECKING:
    from requests import Response

SUMS = "SHA256SUMS"
MB = 1_000_000
BLOCK = 1 << 16  # the most that is lost where a transfer breaks off
TRIES = 5
TIMEOUT = 20.0, 60.0  # seconds to connect, and between two blocks


def download(source: Source, folder: Path, on_progress: OnProgress = no_progress) -> Path:
    """Return a dataset's archive below `folder`, downloaded unless it is there.

    Its SHA-256 is written to `SHA256SUMS` beside it (`sha256sum --check` reads that) when it is
    first fetched; from then on the archive must have it, also if it is fetched again.

    Args:
        source: What to download.
        folder: Where archives are kept.
        on_progress: Called with (done, total) in megabytes.

    Raises:
        ZslbenchError: If it cannot be downloaded; what came so far is kept, and the next call
            resumes from there.
        DataError: If the archive is another one than before, or none at all.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / source.archive
    with FileLock(folder / ".lock"):
        known = _recorded(folder).get(path.name)
        wanted = f"sha256:{known}" if known else source.hash or None
        resuming = _Resuming(path.with_name(f".{path.name}.part"), on_progress)
        try:
            pooch.retrieve(source.url, wanted, path.name, folder, downloader=resuming)
        except requests.RequestException as error:
            raise _unavailable(source, error, resuming.part) from error
        except ValueError as error:
            raise _changed(source, str(wanted), folder) from error
        except OSError as error:
            raise DataError(path, f"cannot be written ({error.strerror})", "Make room.") from error
        if not is_archive(path):
            with path.open("rb") as file:
                start = file.read(40)
            path.unlink()
            fix = f"The address has moved: see {source.page} and correct it in {FILE}."
            raise DataError(source.url, f"is no archive (it begins with {start!r})", fix)
        if not known:
            line = f"{pooch.file_hash(str(path))}  {path.name}\n"
            with (folder / SUMS).open("a", encoding="utf-8") as sums:
                sums.write(line)
    return path


def _recorded(folder: Path) -> dict[str, str]:
    """Return archive -> SHA-256 of what was fetched before."""
    path = folder / SUMS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


class _Resuming:
    """A downloader for pooch that resumes where the last transfer broke off."""

    def __init__(self, part: Path, on_progress: OnProgress) -> None:
        self.part, self.on_progress = part, on_progress
        self._mark = part.with_name(f"{part.name}.etag")

    @property
    def done(self) -> int:
        """How many bytes have come."""
        return self.part.stat().st_size if self.part.exists() else 0

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout

        for left in reversed(range(TRIES)):
            before = self.done
            try:
                self._transfer(url)
                break
            except (ChunkedEncodingError, ConnectionError, Timeout):
                if not left or self.done <= before:
                    raise
        self._mark.unlink(missing_ok=True)
        self.part.replace(output_file)

    def _transfer(self, url: str) -> None:
        import requests

        with requests.get(url, headers=self._headers(), stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                if answer.headers.get("Content-Range", "").endswith(f"/{self.done}"):
                    return
                self.part.unlink()
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            self._mark.write_text(_validator(answer), encoding="utf-8")
            total = int(answer.headers.get("Content-Length", 0)) + (self.done if resumed else 0)
            with self.part.open("ab" if resumed else "wb") as file:
                for block in answer.iter_content(BLOCK):
                    file.write(block)
                    self.on_progress(file.tell() // MB, max(file.tell(), total) // MB + 1)

    def _headers(self) -> dict[str, str]:
        """Ask for the rest only, if the file is still the one that the first part is of."""
        mark = self._mark.read_text(encoding="utf-8") if self._mark.exists() else ""
        rest = {"Range": f"bytes={self.done}-", "If-Range": mark} if mark and self.done else {}
        return {"Accept-Encoding": "identity", **rest}


def _validator(answer: "Response") -> str:
    """Return what tells one version of a file from another; a weak tag does not."""
    tag: str = answer.headers.get("ETag", "")
    strong = tag and not tag.startswith("W/")
    return tag if strong else answer.headers.get("Last-Modified", "")


def _unavailable(source: Source, error: Exception, part: Path) -> ZslbenchError:
    answer = getattr(error, "response", None)
    reason = f"HTTP status {answer.status_code}" if answer is not None else type(error).__name__
    done = part.stat().st_size // MB if part.exists() else 0
    kept = f" The first {done} MB are kept: the same command resumes from there." if done else ""
    return ZslbenchError(
        f"{source.url}: cannot be downloaded ({reason}).{kept} Try again later. If the address has "
        f"moved, see {source.page} and correct it in {FILE}. If you get the archive elsewhere, "
        "zslbench data import takes it."
    )


def _changed(source: Source, wanted: str, folder: Path) -> DataError:
    kind, _, digest = wanted.partition(":")
    said = f"{folder / SUMS} has" if kind == "sha256" else "its publisher gives"
    return DataError(
        source.url,
        f"is not the file it was: {said} {kind} {digest}, and what came has another",
        f"See {source.page}. To take the new file, remove its line from SHA256SUMS, or its hash "
        f"from {FILE}; results on it are results on other data.",
    )
