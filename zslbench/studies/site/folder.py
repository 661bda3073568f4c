"""The repository of a public leaderboard: what `zslbench site init` writes."""

from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from zslbench.errors import DataError
from zslbench.studies.session import check_writable

BUNDLES = "bundles"
# Where each file lies in the repository, and where here.
FILES = {
    "README.md": "README.md",
    ".github/workflows/leaderboard.yml": "leaderboard.yml",
    ".gitignore": "gitignore",
    f"{BUNDLES}/.gitkeep": "gitkeep",
}


def make_site(folder: Path) -> None:
    """Write the repository, whole or not at all.

    Raises:
        DataError: If the folder is there and holds something.
        ZslbenchError: If nothing can be written there.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(
            folder,
            "is not empty, and nothing was written",
            "Name a folder that does not exist yet, such as zslbench site init leaderboard; move "
            "the files that it then holds into a repository that you have.",
        )
    check_writable(folder, "folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".site-", dir=folder.parent) as temporary:
        draft = Path(temporary, "draft")
        for place, name in FILES.items():
            file = draft / place
            file.parent.mkdir(parents=True, exist_ok=True)
            content = files("zslbench.studies.site").joinpath("files", name).read_bytes()
            file.write_bytes(content)
        draft.replace(folder)
