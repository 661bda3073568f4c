"""Archives: finished records in one small file, from which a study resumes elsewhere."""

import lzma
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from zslbench.errors import DataError, ZslbenchError, reading
from zslbench.records import Opening
from zslbench.report.files import write_bytes
from zslbench.store.artifacts import ANSWERS, SUMMARIES, TEST
from zslbench.store.folders import RECORD_FILE
from zslbench.store.store import Store

SUFFIX = ".tar.xz"
LIMIT = 256 * 2**20  # bytes of an archive and of all its members
MEMORY = 128 * 2**20  # bytes that unpacking may take; what `pack` writes takes 65 MiB
# All that an archive may hold. No such name leads out of the folder that it is unpacked in.
MEMBER = re.compile(r"(runs/[a-z]+-[0-9a-f]{64}/)?[a-z]+\.(json|jsonl|npy|npz)")
OF_THIS_MACHINE = re.compile(
    r"""(?<=["'\s(=,;:\[{<|])(/[^/\s"]|~/|\.\./|[A-Za-z]:(?:\\\\|/)|\\\\\\\\)[^"]*"""
)  # as JSON writes it
FIX = "Take the file from where it was published again."


def members_of(store: Store, names: Iterable[str]) -> dict[str, bytes]:
    """Return what an archive holds of some records, by their names: predictions can be derived.

    Raises:
        ZslbenchError: If a record names a path of this machine.
    """
    found = {}
    for name in names:
        for file in (RECORD_FILE, SUMMARIES, TEST, ANSWERS):
            path = store.folders.folder / name / file
            if path.exists():
                found[f"runs/{name}/{file}"] = path.read_bytes()
        private = OF_THIS_MACHINE.search(found[f"runs/{name}/{RECORD_FILE}"].decode())
        if private:
            raise ZslbenchError(
                f"{name[:20]} names {private[0]}, a path of this machine, and cannot be published. "
                "Take files from the folder that the command runs in."
            )
    return found


def pack(path: Path, members: Mapping[str, bytes]) -> None:
    """Write an archive by one rename: equal members give equal bytes, whoever packs them when."""
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=9) as tar:
        for name in sorted(members):
            info = tarfile.TarInfo(name)  # of no owner and no time
            info.size = len(members[name])
            tar.addfile(info, BytesIO(members[name]))
    write_bytes(path, content.getvalue())


def unpack(path: Path) -> dict[str, bytes]:
    """Return the members of an archive; nothing is written, and no more than `LIMIT` is read.

    Raises:
        DataError: If it is none, is too large, or holds what no archive of ours does.
    """
    with reading(path, "is no archive of runs", FIX, lzma.LZMAError, tarfile.TarError, EOFError):
        with path.open("rb") as file:
            packed = file.read(LIMIT)
        stream = lzma.LZMADecompressor(memlimit=MEMORY)
        raw = stream.decompress(packed, LIMIT)
        if len(raw) == LIMIT:
            raise DataError(path, f"holds more than {LIMIT // 2**20} MiB", FIX)
        if not stream.eof:
            raise EOFError("it is cut short")
        with tarfile.open(fileobj=BytesIO(raw), mode="r:") as tar:
            found = tar.getmembers()
            for info in found:  # a sparse file is a regular one, and as large as it says
                plain = info.isreg() and not info.issparse()
                if not (plain and MEMBER.fullmatch(info.name)):
                    raise DataError(path, f"holds {info.name!r}, which no archive of ours has", FIX)
            if len({info.name for info in found}) < len(found):
                raise DataError(path, "holds a file twice", FIX)
            return {info.name: tar.extractfile(info).read() for info in found}  # type: ignore[union-attr]


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Unpack an archive into a results folder of its own, which knows no server, for a while."""
    members = unpack(path)
    with TemporaryDirectory(prefix="zslbench-") as folder:
        for name, content in members.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield Store(Path(folder), uri="")


def restore(path: Path, store: Store) -> None:
    """Bring what an archive has and a results folder lacks; what is there stays as it is.

    Raises:
        DataError: If a record is none, or not the one that its name says.
    """
    with opened(path) as other:
        for name in other.folders.names():
            kind, _, key = name.partition("-")
            record = other.folders.read(kind, key)
            if getattr(record, "key", None) != key:
                raise DataError(path, f"has another record under the name {name}", FIX)

            def copy(draft: Path, name: str = name) -> None:
                shutil.copytree(other.folders.folder / name, draft, dirs_exist_ok=True)

            store.commit(record, copy)
        known = store.openings().keys()
        for key, line in other.openings().items():
            if key not in known:
                store.commit(Opening.model_validate(line))
