"""The page about evaluation: its own system runs, its options and columns exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from case_sets import make_set

from voxhop.cli import main
from voxhop.evaluation.scoring import FAMILIES, PROTOCOLS
from voxhop.evaluation.systems import BUILT_IN

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_the_page_s_own_system_can_be_scored(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    command = re.match(r"# mine\.py: voxhop (.*)", code)[1].split()
    (tmp_path / "mine.py").write_text(code)
    make_set(tmp_path / "cases", scenarios=("farend",))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main([*command, "--measures", "erle", "--no-html"]) == 0
    assert "| halver 0.25 | **12.0** |" in capsys.readouterr().out


@pytest.mark.parametrize("names", [FAMILIES, tuple(PROTOCOLS), tuple(BUILT_IN)])
def test_the_page_lists_what_there_is(names):
    for name in names:
        assert f"| `{name}` |" in PAGE
