"""Each tutorial, followed literally in an empty folder: all its blocks in their order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"

# What following a tutorial must have said, beyond working.
SAYS = {
    "agent": r"behind voxhop: \[3\.\d+, ",  # the near end begins at 2.9 s
    "recorder": r"drift -(79|80)\.\d ppm(.|\n)*the reference is silent",
    "satellite": r"(2[5-9]|[3-9]\d) dB less of the loudspeaker",
    "archive": r"1 of 5 recordings done, 4 before(.|\n)*broken\.wav done",
}


def test_there_is_one_for_each_of_the_users():
    assert {page.stem for page in TUTORIALS.glob("*.md")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_following_it_works(name, tmp_path):
    if name == "recorder":
        pytest.importorskip("matplotlib", reason="the report needs the extra plot")
    text = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    # The command of this environment, whether or not it is on the path.
    runner = f"{sys.executable} -m voxhop "
    said = ""
    for language, body in blocks:
        command = {
            "python": [sys.executable, "-c", body],
            "sh": ["bash", "-ec", re.sub(r"\bvoxhop (?=[a-z])", runner, body)],
        }[language]
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            text=True,
            timeout=600,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, f"{body}\n{done.stdout}{done.stderr}"
        said += done.stdout + done.stderr
    assert re.search(SAYS[name], said), said
