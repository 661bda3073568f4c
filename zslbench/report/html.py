"""Pages of HTML from templates. Same document, same bytes.

A page requests nothing (its content security policy forbids it) and has no date. What stands in it
is escaped, and can be read without scripts.
"""

import base64
import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from zslbench.report.table import Document

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def page(template: str, **context: Any) -> str:
    """Return a page of one of the templates, with its style and script in it."""
    return _templates().get_template(template).render(
        style=_asset("page.css"), script=_asset("page.js"), **context
    )  # fmt: skip


def notebook(document: Document) -> str:
    """Return a document as a fragment, styled inline."""
    return _templates().get_template("notebook.html").render(document=document)


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("zslbench.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "prose": prose, "breakable": breakable, "digest": _digest, "embedded_json": embedded_json,
    }  # fmt: skip
    return found


def prose(text: str) -> "Markup":
    """Return text with its `code` marked up."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))


def breakable(name: str) -> "Markup":
    """Return a name that may be broken behind its commas and colons."""
    from markupsafe import Markup, escape

    return Markup(re.sub("([,:])", r"\1<wbr>", str(escape(name))))


def embedded_json(value: object) -> "Markup":
    """Return JSON that cannot end the script element it stands in, whatever names it holds."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _asset(name: str) -> "Markup":
    from markupsafe import Markup

    text = files("zslbench.report").joinpath("page", name).read_text(encoding="utf-8")
    return Markup("\n" + text)


def _digest(text: str) -> str:
    """Return what a content security policy allows a style or script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
