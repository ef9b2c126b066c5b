"""The manifest of a batch after crashes, and beside another batch."""

import json
import subprocess
import sys

import pytest

import voxhop
from voxhop.batching.manifest import MANIFEST_NAME, Manifest

WITH = {"model": "m", "settings": {"strength": 1.0}}
STAMPS = [[10, 1], None, [20, 2]]


def row(name, **changes):
    made = {"file": name, "status": "done", "out": name, "stamps": STAMPS}
    return made | changes


@pytest.fixture
def filled(tmp_path):
    with Manifest(tmp_path, WITH, restart=False) as manifest:
        manifest.append(row("a"))
        manifest.append(row("ü"))
        manifest.append(row("c", status="failed"))
    return tmp_path / MANIFEST_NAME


def done(folder, **options):
    with Manifest(folder, WITH, **{"restart": False, **options}) as manifest:
        return {name for name in ("a", "ü", "c", "d") if manifest.is_done(name, name, STAMPS)}


def test_what_was_done_is_known_again(filled):
    assert done(filled.parent) == {"a", "ü"}


@pytest.mark.parametrize(
    "change",
    [
        {"out": "b"},
        {"stamps": [[11, 1], None, [20, 2]]},
        {"stamps": [[10, 2], None, [20, 2]]},
        {"stamps": [[10, 1], [5, 5], [20, 2]]},
        {"stamps": [[10, 1], None, [21, 2]]},
        {"stamps": [[10, 1], None, None]},
        {"stamps": [None, None, [20, 2]]},
    ],
)
def test_a_file_that_changed_is_not_done(filled, change):
    asked = {"out": "a", "stamps": STAMPS} | change
    with Manifest(filled.parent, WITH, restart=False) as manifest:
        assert manifest.is_done("a", "a", STAMPS)
        assert not manifest.is_done("a", **asked)


def test_a_copied_output_is_still_done(filled):
    with Manifest(filled.parent, WITH, restart=False) as manifest:
        assert manifest.is_done("a", "a", [[10, 1], None, [20, 999]])


def test_the_last_row_of_a_name_counts(filled):
    with Manifest(filled.parent, WITH, restart=False) as manifest:
        manifest.append(row("c"))
        manifest.append(row("a", status="failed"))
    assert done(filled.parent) == {"ü", "c"}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_line_is_cut_off_and_written_anew(filled, cut):
    with Manifest(filled.parent, WITH, restart=False) as manifest:
        manifest.append(row("d"))
    whole = filled.read_bytes()
    filled.write_bytes(whole[:-cut])
    assert done(filled.parent) == {"a", "ü"}
    with Manifest(filled.parent, WITH, restart=False) as manifest:
        manifest.append(row("d"))
    assert filled.read_bytes() == whole
    assert done(filled.parent) == {"a", "ü", "d"}


@pytest.mark.parametrize("length", [0, 1, 20])
def test_a_torn_first_line_is_a_new_manifest(filled, length):
    filled.write_bytes(filled.read_bytes()[:length])
    assert done(filled.parent) == set()
    assert json.loads(filled.read_text())["made_with"] == WITH


def test_a_spoilt_line_costs_that_recording_only(filled):
    lines = filled.read_bytes().splitlines(keepends=True)
    lines[1] = b"\0" * (len(lines[1]) - 1) + b"\n"
    filled.write_bytes(b"".join(lines))
    assert done(filled.parent) == {"ü"}


def test_other_settings_are_refused_by_name(filled):
    other = WITH | {"settings": {"strength": 0.5}}
    with pytest.raises(voxhop.ArgumentError, match=r"made with settings .*1\.0.*, now .*0\.5"):
        Manifest(filled.parent, other, restart=False)
    with Manifest(filled.parent, other, restart=True) as manifest:
        assert not manifest.is_done("a", "a", STAMPS)


def test_another_file_is_not_overwritten(tmp_path):
    path = tmp_path / MANIFEST_NAME
    path.write_text("my notes\n")
    with pytest.raises(voxhop.ArgumentError, match="not a manifest"):
        Manifest(tmp_path, WITH, restart=False)
    assert path.read_text() == "my notes\n"


def test_two_batches_do_not_share_a_folder(filled):
    code = (
        "import sys; from pathlib import Path; from voxhop.batching.manifest import Manifest\n"
        f"Manifest(Path({str(filled.parent)!r}), {WITH!r}, restart=False)"
    )
    command = [sys.executable, "-c", code]
    with Manifest(filled.parent, WITH, restart=False):
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another batch is writing it" in second.stderr
    assert subprocess.run(command, check=False).returncode == 0
