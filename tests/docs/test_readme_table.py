"""The first screen of the README says what the kept results say."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLUMNS = (  # of the README: the section of quality.md and the column there
    ("farend (14 clips)", "ERLE dB"),
    ("farend (14 clips)", "AECMOS echo"),
    ("doubletalk (18 clips)", "SI-SDR dB"),
    ("doubletalk (18 clips)", "AECMOS deg"),
    ("noise (12 clips)", "DNSMOS OVRL"),
)


def rows(text):
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            yield [cell.strip(" *") for cell in line.strip("|").split("|")]


def test_the_table_beside_other_cancellers_is_that_of_the_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = (ROOT / "benchmarks" / "results" / "quality.md").read_text(encoding="utf-8")
    table = re.search(r"^\| 60 cases.*?\n\n", readme, re.DOTALL | re.MULTILINE)[0]
    _, *systems = rows(table)
    assert len(systems) == 5
    for section, column in set(COLUMNS):
        part = results.partition(f"### {section}\n")[2].partition("\n### ")[0]
        head, *found = rows(part)
        known = {name: cells for name, *cells in found}
        for name, *shown in systems:
            expected = known[name][head[1:].index(column)]
            assert shown[COLUMNS.index((section, column))] == expected, (name, column)


def test_the_picture_is_small_enough_for_a_repository():
    picture = ROOT / "docs" / "images" / "before-after.png"
    assert f"]({picture.relative_to(ROOT).as_posix()})" in (ROOT / "README.md").read_text("utf-8")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
