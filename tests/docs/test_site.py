"""The site: it is whole, its links lead somewhere, and it loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import zslbench
from zslbench.method.registry import incremental_modules, method_modules

ROOT = Path(__file__).parents[2]
METHODS = sorted(
    name
    for name, module in {**method_modules(), **incremental_modules()}.items()
    if module.startswith("zslbench.methods.")
)


@pytest.fixture(scope="module")
def docs():
    """The modules `check` and `stage` of docs/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        import check
        import stage

        yield {"check": check, "stage": stage}


def test_the_reference_has_all_that_is_public():
    shown = re.findall(
        r"auto(?:function|class|exception):: (\w+)", (ROOT / "docs/api.md").read_text()
    )
    assert sorted(shown) == sorted(zslbench.__all__)


def test_every_page_is_in_the_order_of_the_site(docs):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages | {"methods"} == {*docs["stage"].GUIDES, "api"}


def test_every_method_has_a_page_with_its_settings(docs, tmp_path):
    docs["stage"].stage(tmp_path / "source")
    pages = {path.stem: path.read_text() for path in (tmp_path / "source/methods").glob("*.md")}
    assert set(METHODS) <= set(pages)
    assert all("\nNeeds: " in page and "| setting | symbol |" in page for page in pages.values())
    assert all(
        f"](methods/{name}.md)" in (tmp_path / "source/methods.md").read_text() for name in pages
    )


@pytest.mark.parametrize(
    ("page", "link", "moved"),
    [
        ("index.md", "docs/suites.md#backbones", "suites.md#backbones"),
        ("index.md", "docs/plumage.png", "plumage.png"),
        ("index.md", "results/studies/plumage_study.md", "studies/plumage_study.md"),
        ("cluster.md", "../CONTRIBUTING.md#add-a-dataset", "contributing.md#add-a-dataset"),
        ("studies/a.md", "../../docs/features.md", "../features.md"),
        ("cluster.md", "suites.md", "suites.md"),
        ("index.md", "https://example.org/docs/x.md", "https://example.org/docs/x.md"),
        ("index.md", "#plumage", "#plumage"),
    ],
)
def test_links_lead_to_pages_of_the_site(docs, page, link, moved):
    assert docs["stage"].relinked(f"[it]({link})", Path(page)) == f"[it]({moved})"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('<script src="https://cdn.org/x.js"></script>', 1),
        ('<link rel="stylesheet" href="//fonts.org/x.css">', 1),
        ('<img src="HTTP://host.org/x.png">', 1),
        ("<style>@import 'https://fonts.org/x.css';</style>", 1),
        ('<p style="background: url(https://host.org/x.png)">', 1),
        ('<a href="https://arxiv.org/abs/2503.10252">paper</a> <img src="x.png">', 0),
        ('<script src="_static/x.js"></script><pre>src="https://x.org"</pre>', 0),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(docs, tmp_path, content, found):
    (tmp_path / "page.html").write_text(content)
    assert len(list(docs["check"].check(tmp_path))) == found


def test_what_a_style_sheet_loads_is_found_and_an_empty_site_is_none(docs, tmp_path):
    assert list(docs["check"].check(tmp_path))
    (tmp_path / "x.css").write_text("@font-face { src: url('https://fonts.org/x.woff') }")
    assert list(docs["check"].check(tmp_path)) == [
        f"{tmp_path}/x.css: loads https://fonts.org/x.woff"
    ]


@pytest.mark.slow
def test_a_browser_asks_nobody_else_for_the_site(tmp_path):
    """Every kind of page, as a browser shows it: all that it asks for are files of the site."""
    import browser

    if absent := browser.missing():
        pytest.skip(absent)
    pytest.importorskip("sphinx", reason="sphinx is absent: pip install 'zslbench[docs]'")
    source, site = tmp_path / "source", tmp_path / "site"
    build = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "-c", ROOT / "docs"]
    subprocess.run([sys.executable, ROOT / "docs" / "stage.py", source], check=True)
    subprocess.run([*build, source, site], check=True)
    assert {path.stem for path in (site / "methods").glob("*.html")} == set(METHODS)
    pages = ["index", "quickstart", "datasets", "api", "methods/svip", "studies/plumage_study"]
    with browser.browser() as window:
        for page in pages:
            window.open((site / f"{page}.html").as_uri())
            asked = window.requests()
            assert asked and all(url.startswith(("file:", "data:")) for url in asked), page
            assert not [each for each in window.log("browser") if each["level"] == "SEVERE"]
