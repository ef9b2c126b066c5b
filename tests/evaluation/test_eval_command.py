"""``voxhop eval`` from the outside: files, exit codes, the page."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from case_sets import RATE, echo_of, make_set, speech

from recordings import voxhop_command
from voxhop.cli import main

PLAIN = "si_sdr,erle,blind_erle"
HALF = "case_sets:LateCopy,gain=0.5,late=100"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", ":".join([here, *sys.path]))


@pytest.fixture
def cases(tmp_path):
    return make_set(tmp_path / "cases")


@pytest.fixture
def arguments(cases, tmp_path):
    return ["eval", "--cases", str(cases), "--out", str(tmp_path / "out"), "--measures", PLAIN]


def test_tables_are_written_and_printed(arguments, tmp_path, capsys):
    arguments += ["--system", HALF, "--no-html"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "out"
    assert str(out / "results.md") in printed
    assert (out / "results.md").read_text() in printed
    facts = json.loads((out / "results.json").read_text())
    assert [system["name"] for system in facts["systems"]] == ["unprocessed", "late copy"]
    assert not (out / "report.html").exists()
    assert not list(out.glob("*.part"))
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == facts  # finished clips keep their cost too


def test_exit_codes(arguments, tmp_path, capsys):
    base = [*arguments, "--no-html"]
    assert main(["eval"]) == 2
    assert main([*base, "--system", "nonsense"]) == 2
    assert main([*base, "--system", "unprocessed", "--measures", "loudness"]) == 2
    assert main([*base, "--system", "unprocessed", "--protocol", "mine"]) == 2
    assert main([*base, "--system", "unprocessed", "--jobs", "0"]) == 2
    assert main([*base, "--system", "unprocessed", "--cases", str(tmp_path / "none")]) == 2
    assert main([*base, "--system", "case_sets:Broken,how=raises"]) == 1
    assert "out of luck" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
def test_ctrl_c_ends_all_processes_quietly_and_keeps_what_is_done(arguments, tmp_path):
    slow = "case_sets:LateCopy,seconds=2.0"
    arguments += ["--no-html", "--system", slow]
    running = subprocess.Popen(
        voxhop_command(*arguments, "--jobs", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    finished = tmp_path / "out" / "clips"
    deadline = time.monotonic() + 60.0
    while len(list(finished.glob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)  # the quick row is done, two clips of the slow one are under way
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert (running.returncode, errors) == (130, "interrupted\n")
    assert len(list(finished.glob("*.json"))) == 5
    assert not list(finished.glob("*.tmp"))
    assert main(arguments) == 0
    assert len(list(finished.glob("*.json"))) == 6


def test_the_page_needs_nothing_else(arguments, tmp_path):
    pytest.importorskip("matplotlib", reason="extra [plot]")
    assert main([*arguments, "--system", HALF, "--worst", "2"]) == 0
    html = (tmp_path / "out" / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="?([^" >]{0,40})', html)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "@import" not in html
    assert html.count("<h3>") == 2
    # The worst two by SI-SDR or ERLE: microphone, reference where there is one, target, output.
    assert html.count("<audio") == html.count("<img") == 4 + 4


def test_the_page_plays_what_was_scored(arguments, tmp_path):
    pytest.importorskip("matplotlib", reason="extra [plot]")
    assert main([*arguments, "--system", HALF, "--worst", "1"]) == 0
    html = (tmp_path / "out" / "report.html").read_text()
    figures = re.findall(r'figcaption>([^<]*) <.*?audio/flac;base64,([^"]*)"', html)
    sounds = {}
    for label, data in figures:
        sounds[label], rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
        assert rate == RATE
    assert set(sounds) >= {"microphone", "late copy"}
    difference = sounds["late copy"] - 0.5 * sounds["microphone"]
    assert np.abs(sounds["microphone"]).max() > 0.05
    assert np.abs(difference).max() <= 2.0**-15


def test_the_page_shows_the_worst_clips_of_the_subject(arguments, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="extra [plot]")
    arguments += ["--system", HALF, "--worst", "1"]
    assert main(arguments) == 0
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    values = {
        clip["case"]: clip["scores"].get("si_sdr", clip["scores"].get("erle"))
        for clip in facts["clips"]
        if clip["system"] == "late copy"
    }
    html = (tmp_path / "out" / "report.html").read_text()
    assert f"<h3>{min(values, key=values.get)} " in html
    assert main([*arguments, "--subject", "nobody"]) == 2
    assert "there are: unprocessed, late copy" in capsys.readouterr().err


def test_a_set_in_the_challenge_s_layout_gives_the_report_s_table(tmp_path, capsys):
    """One command; two far-end clips: half the level, -6 dB, in the frames the ERLE counts."""
    far = speech(3.0, 1)
    for guid in ("a", "-b_c"):
        stem = tmp_path / "set" / "deep" / f"{guid}_farend-singletalk-with-movement"
        stem.parent.mkdir(parents=True, exist_ok=True)
        for kind, track in (("mic", echo_of(far, 800, 3)), ("lpb", far)):
            soundfile.write(f"{stem}_{kind}.wav", track, RATE, subtype="FLOAT")
    arguments = ["eval", "--cases", str(tmp_path / "set"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--measures", PLAIN, "--system", HALF, "--no-html"]) == 0
    printed = capsys.readouterr().out
    assert "2 clips, protocol `report`" in printed
    table = printed.partition("## The report's table")[2].partition("\n## ")[0].splitlines()
    assert "| Scenario | n | AECMOS echo | AECMOS deg | blind ERLE dB | DNSMOS OVRL |" in table
    rows = [line for line in table if line.startswith("| farend")]
    assert rows == [
        "| farend-singletalk-with-movement | 2 | - | - | 0.0 | - |",
        "| farend-singletalk-with-movement | 2 | - | - | 6.0 | - |",
    ]
