"""The page: self-contained, escaped, and alive in a browser."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from boards import RULES, changed, selected_on_test, stored_run
from browser import ENTER, ESCAPE, RIGHT, SPACE, browser, missing

from zslbench.report.html import embedded_json
from zslbench.studies.leaderboard.page import as_page
from zslbench.studies.leaderboard.results import Leaderboard, build_leaderboard

HOSTILE = "<script>alert(1)</script>"
QUOTED = "a\"b' onmouseover=alert(2) & </script><!--"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("stored")
    seeds = [stored_run(root / f"s{seed}", seed=seed) for seed in range(2)]
    raw = stored_run(root / "raw", features="raw", reg_x=1000.0, reg_s=1000.0)
    return [
        *seeds,
        raw,
        *[changed(run, method="cheat") for run in map(selected_on_test, seeds)],
        changed(seeds[0], method=HOSTILE, settings={QUOTED: QUOTED}, dataset=QUOTED),
    ]


@pytest.fixture(scope="module")
def board(runs):
    ledger = Counter({("eszsl", runs[0].record.test_digest): 7})
    return build_leaderboard(runs, ledger, RULES, "cheat")


@pytest.fixture(scope="module")
def page(board):
    return as_page(board)


class Elements(HTMLParser):
    """All elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts, self.inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.texts.append(data)


def test_same_rows_give_the_same_bytes(runs, page):
    ledger = Counter({("eszsl", runs[0].record.test_digest): 7})
    assert as_page(build_leaderboard(list(reversed(runs)), ledger, RULES, "cheat")) == page


def test_names_stay_text_wherever_they_stand(page):
    elements = Elements(page)
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "class-names"}, {}]
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert HOSTILE in elements.texts
    options = [a["value"] for tag, a in elements.found if tag == "option"]
    assert QUOTED in options
    labels = [a["aria-label"] for tag, a in elements.found if tag == "svg" and "aria-label" in a]
    assert any(HOSTILE in label and QUOTED in label for label in labels)


def test_class_names_in_embedded_json_stay_there():
    text = embedded_json([(HOSTILE, QUOTED, "naïve")])
    assert not set("<>&") & set(text)
    assert json.loads(text) == [[HOSTILE, QUOTED, "naïve"]]


def test_nothing_in_the_page_is_requested(page):
    assert not re.search(r"https?://|//[\w.]+/|@import|url\(", page)
    elements = Elements(page)
    links = [a[name] for _, a in elements.found for name in ("src", "href") if name in a]
    assert all(link.startswith("#run-") or link == "data:," for link in links)


def test_page_has_every_row_interval_figure_and_grid(page, board):
    elements = Elements(page)
    tags = Counter(tag for tag, _ in elements.found)
    assert tags["details"] == len(board.rows)
    assert tags["figure"] == 3 * len(board.rows) + 2 * len({row.dataset for row in board.rows})
    text = " ".join(elements.texts)
    for row in board.rows:
        for found in row.intervals["h"].values():
            assert f"{found.low:.1f}, {found.high:.1f}" in text
        for record_key in row.evidence.provenance["runs"].values():
            assert record_key in text
    assert "Paired differences" in text


def test_rows_selected_on_test_are_watermarked(page, board):
    rows = [attributes for tag, attributes in Elements(page).found if tag == "tr"]
    watermarked = {int(a["data-row"]) for a in rows if a.get("class") == "test"}
    assert watermarked == {n for n, row in enumerate(board.rows) if row.selected_on_test}
    assert len(watermarked) == 1


def test_an_empty_board_is_a_page():
    assert "0 rows" in as_page(Leaderboard([]))


@pytest.fixture(scope="module")
def window():
    if missing():
        pytest.skip(missing())
    with browser() as opened:
        yield opened


@pytest.fixture
def opened(window, page, tmp_path):
    """The page in a browser; at the end of each test it has logged and requested nothing."""
    path = tmp_path / "leaderboard.html"
    path.write_text(page, encoding="utf-8")
    window.open("about:blank")
    window.log("browser"), window.requests()
    window.device(1280, 900)
    window.scheme("light")
    window.open(path.as_uri())
    window.run("localStorage.clear(); delete document.documentElement.dataset.theme")
    yield window
    assert window.log("browser") == []
    assert window.requests() == [path.as_uri()]


VISIBLE = "[...document.querySelectorAll('#board tbody tr')].filter(r => r.checkVisibility())"


def column(window, selector, attribute="dataset.value"):
    return window.run(
        f"return {VISIBLE}.filter(r => !r.matches('.test'))"
        f".map(r => r.querySelector('{selector}').{attribute})"
    )


def test_sorts_by_click_and_by_keyboard(opened):
    head = "#board thead th:nth-child(9)"
    opened.click(f"{head} button")
    values = [float(value) for value in column(opened, ".h")]
    assert values == sorted(values, reverse=True)
    assert opened.run(f"return document.querySelector('{head}').ariaSort") == "descending"
    for key, order in ((ENTER, "ascending"), (SPACE, "descending")):
        opened.press(key)
        values = [float(value) for value in column(opened, ".h")]
        assert values == sorted(values, reverse=order == "descending")
        assert opened.run(f"return document.querySelector('{head}').ariaSort") == order
    opened.click("#board thead th:nth-child(1) button")
    names = column(opened, "a", "textContent")
    assert names == sorted(names)
    assert (
        opened.run("return document.querySelectorAll('[aria-sort]:not([aria-sort=none])').length")
        == 1
    )


def test_what_was_selected_on_test_stays_below(opened):
    for _ in range(2):
        opened.click("#board thead th:nth-child(9) button")
        assert opened.run(f"return {VISIBLE}.at(-1).matches('.test')")


def test_filters_by_text_dataset_and_rule(opened, board):
    opened.type("#filter", "CHEAT publ")
    assert opened.run(f"return {VISIBLE}.length") == 1
    assert opened.run("return count.textContent") == f"1 of {len(board.rows)} rows"
    shown = opened.run(
        "return [...document.querySelectorAll('.point')]"
        ".filter(p => getComputedStyle(p).display !== 'none').map(p => p.dataset.row)"
    )
    assert set(shown) == set(opened.run(f"return {VISIBLE}.map(r => r.dataset.row)"))
    opened.run("document.getElementById('filter').value = ''")
    choose = ("const s = document.getElementById(arguments[0]); s.value = arguments[1];"
              "s.dispatchEvent(new Event('input', {bubbles: true}))")  # fmt: skip
    opened.run(choose, "dataset", QUOTED)
    assert opened.run(f"return {VISIBLE}.length") == len(RULES)
    opened.run(choose, "rule", "last")
    assert opened.run(f"return {VISIBLE}.map(r => r.dataset.rule)") == ["last"]


def test_a_row_opens_with_its_provenance_and_closes(opened, board):
    opened.run("document.querySelector('#board tbody a').focus()")
    opened.press(ENTER)
    text = opened.run("return drawer.innerText")
    (digest,) = {row.evidence.provenance["data"]["test digest"] for row in board.rows}
    assert digest in text
    assert opened.run("return drawer.querySelectorAll('svg').length") == 3
    opened.run("drawer.querySelector('svg.classes').focus()")
    opened.press(RIGHT)
    assert re.search(r"class \d+: [\d.]+ % \(unseen\)", opened.run("return drawer.innerText"))
    opened.press(ESCAPE)
    assert not opened.run("return drawer.open")
    assert opened.run("return document.activeElement.closest('tr') !== null")


def test_theme_follows_the_system_until_toggled(opened):
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = opened.run(paper)
    opened.scheme("dark")
    dark = opened.run(paper)
    assert dark != light
    opened.click("#theme")
    assert opened.run(paper) == light
    opened.click("#theme")
    assert opened.run(paper) == dark


def test_focus_can_be_seen(opened):
    opened.press("\ue004")
    assert opened.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_page_does_not_scroll_sideways(opened, width):
    opened.device(width, 844)
    sideways = "return document.documentElement.scrollWidth - innerWidth"
    assert opened.run(sideways) <= 0
    cells = "[...document.querySelectorAll('#board tbody tr > *')]"
    assert opened.run(f"return {cells}.filter(c => c.scrollWidth > c.clientWidth + 1).length") == 0
    opened.click("#board tbody a")
    assert opened.run("return drawer.scrollWidth - drawer.clientWidth") <= 0
    assert opened.run(sideways) <= 0


def test_ausuc_is_seen_without_scrolling_on_a_laptop(opened):
    opened.device(1280, 900)
    table = "document.querySelector('#board').closest('.scroll')"
    assert opened.run(f"return {table}.scrollWidth - {table}.clientWidth") <= 0
    last = (
        "document.querySelector('#board tbody tr').lastElementChild.getBoundingClientRect().right"
    )
    assert 1000 < opened.run(f"return {last}") <= 1280


def test_all_can_be_read_without_scripts(window, page, tmp_path):
    path = tmp_path / "still.html"
    path.write_text(page, encoding="utf-8")
    window.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        window.open(path.as_uri())
        window.click("#runs summary")
        assert window.run("return document.querySelector('#runs .body').checkVisibility()")
    finally:
        window.devtools("Emulation.setScriptExecutionDisabled", value=False)
