"""The README: short, and nothing in it that the repository does not have."""

import re
from pathlib import Path

from zslbench.method.registry import incremental_modules, method_modules

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def rows(marker):
    """Return the cells of the rows of the table below a marker."""
    table = re.search(rf"<!-- {marker} -->\n((?:\|.*\n)+)", README)[1]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_its_prose_has_under_900_words():
    text = re.sub(r"```.*?```|<!--.*?-->|^\|[^\n]*|\]\([^)]*\)", " ", README, flags=re.S | re.M)
    assert 300 < len(text.split()) < 900


def test_every_method_is_in_its_list():
    listed = {name for row in rows("methods") for name in re.findall(r"`(\w+)`", row[0])}
    modules = {**method_modules(), **incremental_modules()}
    ours = {name for name, module in modules.items() if module.startswith("zslbench.methods.")}
    assert listed == ours
    assert all("](" in row[1] for row in rows("methods"))


def test_its_results_are_those_of_the_published_study():
    (study,) = re.findall(r"<!-- results: (.*?) -->", README)
    published = {}
    for line in (ROOT / study).read_text().splitlines():
        name, *cells = (cell.strip() for cell in line.strip("| ").split("|"))
        if len(cells) >= 5 and "<br>[" in cells[0]:  # of several datasets, the first
            published.setdefault(name.split("<br>")[0], cells)
    shown = rows(f"results: {re.escape(study)}")
    assert len(shown) >= 3
    for name, *cells in shown:
        for cell, source in zip(cells, published[name], strict=False):
            value, half = cell.split(" ± ")
            low, high = map(float, re.search(r"\[([\d.]+), ([\d.]+)\]", source).groups())
            assert re.search(r"\d[\d.]*", source)[0] == value, (name, cell)
            digits = len(half.partition(".")[2])
            assert abs(float(half) - (high - low) / 2) <= 0.51 * 10**-digits, (name, cell)
