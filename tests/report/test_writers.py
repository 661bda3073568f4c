"""One table type, and what each writer makes of it."""

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from zslbench.errors import ZslbenchError
from zslbench.report.records import csv_text, flat, plain
from zslbench.report.shown import Shown
from zslbench.report.table import Cell, Document, Table
from zslbench.report.writers import latex, markdown, terminal
from zslbench.stats import Interval

HOSTILE = 'a|b <script>alert(1)</script> "&_%'
BOTH = {"these_classes": Interval(50.0, 48.0, 52.0), "new_classes": Interval(50.0, 40.0, np.inf)}


@dataclass(frozen=True)
class Line:
    name: str
    seeds: tuple[int, ...]
    intervals: dict[str, dict[str, Interval]]
    settings: dict[str, float]
    evidence: str = field(default="not shown", repr=False)


@dataclass(frozen=True)
class Result(Shown):
    lines: tuple[Line, ...]

    def document(self):
        rows = [
            [
                Cell(line.name, marks=("one seed",), facts=("fitted in 3 s",)),
                "some words",
                Cell("50.0\n[48.0, 52.0]", "best"),
            ]
            for line in self.lines
        ]
        tables = [Table(HOSTILE, ("method", "about", "H"), rows, "A note.", words=("about",))]
        aside = Table("aside", ("what", "n"), [["x", "1"]])
        return Document("A title", "About it.", [*tables, "A sentence."], [aside], ["Notes."])

    def records(self):
        return [flat(line) for line in self.lines]


@pytest.fixture
def result():
    return Result((Line(HOSTILE, (0, 1), {"h": BOTH}, {"reg": 1.0}),))


def printed(document):
    console = Console(width=100, record=True, markup=False, highlight=False)
    with console.capture() as capture:
        for part in terminal(document, console.width):
            console.print(part)
    return capture.get()


def test_terminal_shows_everything_in_its_order(result):
    text = printed(result.document())
    said = ["A title", "About it.", "ONE SEED", "fitted in 3 s", "A note.", "A sentence.", "aside",
            "Notes."]  # fmt: skip
    places = [text.index(words) for words in said]
    assert places == sorted(places)


def test_numbers_are_right_aligned_and_words_left(result):
    (table, _) = result.document().parts
    assert table.numeric == [False, False, True]
    assert "| --- | --- | ---: |" in markdown(result.document())
    assert r"\begin{tabular}{@{}llr@{}}" in latex(result.document())
    (line,) = [line for line in printed(result.document()).splitlines() if "[48.0, 52.0]" in line]
    (value,) = [line for line in printed(result.document()).splitlines() if " 50.0 │" in line]
    assert line.rindex("]") == value.rindex("0 │")


def test_markdown_escapes_names_and_lists_facts_below(result):
    text = markdown(result.document(), {"h.png": "What is drawn."})
    assert "<script>" not in text
    assert "a\\|b" in text
    assert "**50.0**<br>[48.0, 52.0]" in text
    assert re.search(r"^\* a.*: fitted in 3 s$", text, re.M)
    assert "(h.png)\n\n> What is drawn." in text


def test_latex_has_the_answer_alone_and_explains_marks(result):
    text = latex(result.document())
    assert text.count(r"\begin{tabular}{") == 1
    assert r"$^{1}$ one seed." in text
    assert r"\textbf{50.0}" in text
    assert "fitted" not in text


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def test_notebooks_get_escaped_tables_styled_inline(result):
    page = Tags(result._repr_html_())
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == 2
    assert not {"script", "style"} & set(tags)
    assert HOSTILE in page.texts
    (best,) = [a for _, a in page.tags if a.get("style") == "font-weight: bold"]
    assert best


def test_each_suffix_is_written_and_another_refused(result, tmp_path):
    for kind in ("md", "csv", "json", "tex", "html"):
        result.save(tmp_path / f"r.{kind}")
        once = (tmp_path / f"r.{kind}").read_bytes()
        result.save(tmp_path / f"r.{kind}")
        assert once == (tmp_path / f"r.{kind}").read_bytes()
    assert (tmp_path / "r.html").read_text().count("<table>") == 2
    with pytest.raises(ZslbenchError, match="suffix"):
        result.save(tmp_path / "r.mdd")
    assert not (tmp_path / "r.mdd").exists()


def test_json_has_no_infinite_number_and_nothing_that_repr_leaves_out(result):
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    (line,) = found["lines"]
    assert line["intervals"]["h"]["new_classes"] == {"mean": 50.0, "low": 40.0, "high": None}
    assert "evidence" not in line
    assert plain(frozenset("ba")) == ["a", "b"]


def test_frames_have_both_ends_of_both_intervals(result):
    (row,) = result.to_frame().to_dict("records")
    assert (row["H"], row["H_low_these_classes"], row["H_low_new_classes"]) == (50.0, 48.0, 40.0)
    assert (row["seeds"], row["settings"]) == ("0 1", '{"reg": 1.0}')


def test_rows_need_not_share_their_columns():
    assert csv_text([{"a": 1}, {"a": 2, "b": 3}]) == "a,b\n1,\n2,3\n"
