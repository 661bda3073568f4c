"""Check that a built site loads nothing from elsewhere: `python docs/check.py FOLDER`."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

ELSEWHERE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
LOADED_BY_CSS = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s;]+)""")


class Loads(HTMLParser):
    """Collects what a page makes a browser load from another host; links are not followed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at what a tag loads: all but the links that a reader clicks."""
        for name, value in attrs:
            loads = name in ("src", "srcset", "poster", "data") or (name, tag) == ("href", "link")
            if loads and ELSEWHERE.match(value or ""):
                self.found.append(str(value))
            if name == "style":
                self.found += LOADED_BY_CSS.findall(value or "")


def loads(path: Path) -> list[str]:
    """Return the addresses on other hosts that a page or a style sheet loads."""
    text = path.read_text(encoding="utf-8")
    found = LOADED_BY_CSS.findall(text) if path.suffix == ".css" else []
    if path.suffix == ".html":
        page = Loads()
        page.feed(text)
        styles = re.findall(r"<style.*?</style>", text, re.DOTALL)
        found = page.found + [one for style in styles for one in LOADED_BY_CSS.findall(style)]
    return found


def check(folder: Path) -> Iterator[str]:
    """Yield what is wrong with a site."""
    files = [path for kind in ("html", "css") for path in sorted(folder.rglob(f"*.{kind}"))]
    if not files:
        yield f"{folder}: holds no page"
    yield from (f"{path}: loads {address}" for path in files for address in loads(path))


if __name__ == "__main__":
    problems = list(check(Path(sys.argv[1])))
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    sys.exit(bool(problems))
