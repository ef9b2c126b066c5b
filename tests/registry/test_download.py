"""Downloading from a server that misbehaves: the right bytes, or a clear error, or both tries."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time

import pytest
from bad_server import BadServer

from voxhop._download import Source, download
from voxhop.errors import DownloadError

PAYLOAD = random.Random(7).randbytes(200_000)
DIGEST = hashlib.sha256(PAYLOAD).hexdigest()


HOLD_THE_LOCK = """
import sys
from voxhop._download import _lock
stream = open(sys.argv[1], "ab")
_lock(stream)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server():
    with BadServer(PAYLOAD) as running:
        yield running


@pytest.fixture
def target(tmp_path):
    return tmp_path / "models" / "a.gguf"


def part_of(target):
    return target.with_name(target.name + ".part")


def get(server, manner, target, **options):
    size = options.pop("size_bytes", len(PAYLOAD))
    options.setdefault("timeout_s", 5.0)
    download(Source(server.url(manner), DIGEST, size), target, pause_s=0.01, **options)


@pytest.mark.parametrize("size_bytes", [len(PAYLOAD), None])
@pytest.mark.parametrize("manner", ["good", "redirect", "truncating", "no-range", "once-busy"])
def test_the_file_arrives_whole(server, target, manner, size_bytes):
    get(server, manner, target, size_bytes=size_bytes)
    assert target.read_bytes() == PAYLOAD
    assert not part_of(target).exists()


def test_a_broken_connection_is_continued_and_not_repeated(server, target):
    get(server, "truncating", target)
    starts = [
        int(r.removeprefix("bytes=").removesuffix("-")) if r else 0
        for r in server.ranges("truncating")
    ]
    assert len(starts) > 2
    assert starts == sorted(set(starts))


def test_a_part_of_an_earlier_run_is_continued(server, target):
    target.parent.mkdir()
    part_of(target).write_bytes(PAYLOAD[:123_456])
    seen = []
    get(server, "good", target, progress=lambda have, _total: seen.append(have))
    assert server.ranges("good") == ["bytes=123456-"]
    assert seen[0] > 123_456
    assert target.read_bytes() == PAYLOAD


def test_a_whole_part_needs_no_request(server, target):
    target.parent.mkdir()
    part_of(target).write_bytes(PAYLOAD)
    get(server, "good", target)
    assert server.requests == []
    assert target.read_bytes() == PAYLOAD


@pytest.mark.parametrize("size_bytes", [len(PAYLOAD), None])
@pytest.mark.parametrize("length", [1000, len(PAYLOAD), len(PAYLOAD) + 5])
def test_a_foreign_part_is_thrown_away(server, target, length, size_bytes):
    target.parent.mkdir()
    part_of(target).write_bytes(b"z" * length)
    get(server, "good", target, size_bytes=size_bytes)
    assert target.read_bytes() == PAYLOAD


def test_a_server_that_ignores_the_range_restarts_the_part(server, target):
    target.parent.mkdir()
    part_of(target).write_bytes(PAYLOAD[:1000])
    get(server, "no-range", target)
    assert target.read_bytes() == PAYLOAD


def test_a_wrong_range_is_not_appended(server, target):
    target.parent.mkdir()
    part_of(target).write_bytes(PAYLOAD[:1000])
    get(server, "shifted", target)
    assert server.ranges("shifted") == ["bytes=1000-", None]
    assert target.read_bytes() == PAYLOAD


def test_a_file_that_changes_between_requests_is_started_over(server, target):
    get(server, "changing", target, size_bytes=None)
    assert target.read_bytes() == PAYLOAD


def test_wrong_bytes_are_discarded_and_the_old_file_stays(server, target):
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(DownloadError, match=f"expected {DIGEST}"):
        get(server, "wrong", target)
    assert target.read_bytes() == b"old"
    assert part_of(target).read_bytes() == b""


@pytest.mark.parametrize(
    ("manner", "message", "requests"),
    [
        ("missing", "HTTP 404", 1),
        ("broken", r"HTTP 500 \(4 attempts\)", 4),
        ("longer", f"{len(PAYLOAD) + 1} bytes, expected {len(PAYLOAD)}", 1),
        ("endless", f"more than {len(PAYLOAD)} bytes", 1),
        ("loop", "HTTP 302", 5),
        ("to-file", "not allowed", 1),
        ("to-ftp", "refused", 1),
    ],
)
def test_what_cannot_work_fails_at_once_and_says_why(server, target, manner, message, requests):
    with pytest.raises(DownloadError, match=message):
        get(server, manner, target)
    assert server.count(manner) == requests
    assert not target.exists()


@pytest.mark.parametrize("manner", ["silent", "dripping"])
def test_a_dead_server_is_given_up(server, target, manner):
    start = time.monotonic()
    with pytest.raises(DownloadError, match="attempts"):
        get(server, manner, target, timeout_s=0.3)
    assert time.monotonic() - start < 5.0


def test_nobody_there(target):
    with pytest.raises(DownloadError, match="refused"):
        download(Source("http://127.0.0.1:9/x", DIGEST), target, pause_s=0.01)


def test_a_full_disk_is_named(server, target, monkeypatch):
    def no_space(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("voxhop._download.os.fsync", no_space)
    with pytest.raises(DownloadError, match=r"a\.gguf: No space left on device"):
        get(server, "good", target)
    assert not target.exists()


def test_two_processes_do_not_write_one_part(server, target):
    target.parent.mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD_THE_LOCK,
            str(part_of(target)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DownloadError, match="another process"):
            get(server, "good", target)
    finally:
        holder.communicate("")
    get(server, "good", target)
    assert target.read_bytes() == PAYLOAD
