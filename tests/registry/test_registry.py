"""Names, places and rules of the model registry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bad_server import BadServer

import voxhop
from voxhop import registry
from voxhop.cli import main
from voxhop.errors import ArgumentError, DownloadError, ModelFileError
from voxhop.models import find_model

PAYLOAD = b"GGUF" + bytes(range(256)) * 300


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    for name in ("VOXHOP_MODEL_MIRROR", "VOXHOP_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOXHOP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published(monkeypatch):
    """The list with one model more, whose bytes the local server has."""
    model = registry.PublishedModel(
        "test-model", "test-model.gguf", hashlib.sha256(PAYLOAD).hexdigest(), len(PAYLOAD), "test"
    )
    monkeypatch.setattr(registry, "PUBLISHED", (*registry.PUBLISHED, model))
    return model


@pytest.fixture
def server(monkeypatch):
    with BadServer(PAYLOAD) as running:
        monkeypatch.setenv("VOXHOP_MODEL_MIRROR", running.url("good"))
        yield running


def test_every_pin_is_complete_and_unique():
    for field in ("name", "file", "sha256"):
        values = [getattr(model, field) for model in registry.PUBLISHED]
        assert len(set(values)) == len(values)
    for model in registry.PUBLISHED:
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert model.file.endswith(".gguf")
        assert model.file.startswith(model.name)
    assert re.fullmatch(r"[0-9a-f]{40}", registry.REVISION)


def test_the_address_names_the_revision_and_never_a_branch():
    model = registry.find("localvqe-v1.2")
    assert model.url_path == (
        f"LocalAI-io/LocalVQE/resolve/{registry.REVISION}/localvqe-v1.2-1.3M-f32.gguf"
    )
    assert registry.find(model.file) is model


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ArgumentError, match=r"did you mean 'localvqe-v1\.2'"):
        registry.find("localvq-v1.2")
    with pytest.raises(ArgumentError, match=r"known: localvqe-v1\.3, "):
        registry.find("zzz")


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/voxhop/models"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/u/.cache/voxhop/models"),
        ("linux", {}, "/home/u/.cache/voxhop/models"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "/home/u/Library/Caches/voxhop/models"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/voxhop/Cache/models"),
        ("linux", {"VOXHOP_CACHE_DIR": "/own"}, "/own"),
    ],
)
def test_the_cache_folder_follows_the_platform(monkeypatch, platform, environment, expected):
    for name in ("VOXHOP_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/u")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert registry.cache_dir() == Path(expected)


def test_fetch_then_path_then_verify(published, server, own_cache):
    with pytest.raises(ModelFileError, match="voxhop models get test-model"):
        registry.model_path("test-model")
    path = registry.fetch("test-model")
    assert path == own_cache / published.file == registry.model_path("test-model")
    assert path.read_bytes() == PAYLOAD
    assert registry.verify("test-model") == path
    assert server.requests == [(f"/good/{published.url_path}", None)]


@pytest.mark.usefixtures("published")
def test_a_file_that_is_here_is_not_fetched_again(server):
    registry.fetch("test-model")
    registry.fetch("test-model", offline=True)
    assert len(server.requests) == 1


@pytest.mark.usefixtures("server")
def test_damage_is_found_and_mended(published):
    path = registry.fetch("test-model")
    path.write_bytes(b"X" + PAYLOAD[1:])
    assert registry.model_path("test-model") == path  # the length alone is right
    with pytest.raises(ModelFileError, match=f"expected {published.sha256}"):
        registry.verify("test-model")
    registry.fetch("test-model")
    assert registry.verify("test-model").read_bytes() == PAYLOAD
    path.write_bytes(PAYLOAD[:-1])
    with pytest.raises(ModelFileError, match=f"{len(PAYLOAD) - 1} bytes, expected {len(PAYLOAD)}"):
        registry.model_path("test-model")


@pytest.mark.parametrize("value", ["1", "true", "YES"])
@pytest.mark.usefixtures("published")
def test_offline_never_touches_the_network(server, monkeypatch, value):
    monkeypatch.setenv("VOXHOP_OFFLINE", value)
    with pytest.raises(DownloadError, match="network is off"):
        registry.fetch("test-model")
    assert server.requests == []
    registry.fetch("test-model", offline=False)
    assert len(server.requests) == 1


@pytest.mark.usefixtures("published")
def test_a_mirror_gives_bytes_and_not_authority(server):
    with pytest.raises(DownloadError, match="sha256"):
        registry.fetch("test-model", mirror=server.url("wrong"))
    with pytest.raises(ArgumentError, match="http"):
        registry.fetch("test-model", mirror="ftp://somewhere")


@pytest.mark.usefixtures("server")
def test_the_command_gets_lists_verifies_and_prints_the_path(published, own_cache, capsys):
    assert main(["models", "path", "test-model"]) == 1
    assert "voxhop models get test-model" in capsys.readouterr().err
    assert main(["models", "verify"]) == 0
    assert "nothing downloaded" in capsys.readouterr().out
    assert main(["models", "get", "test-model"]) == 0
    assert main(["models", "path", "test-model"]) == 0
    assert str(own_cache / published.file) in capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert rows["test-model"]["path"] == str(own_cache / published.file)
    assert rows["localvqe-v1.1"]["path"] is None
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:4] == ["test-model", "76.8", "kB", "here"] for line in lines)
    assert any(line.split()[:4] == ["localvqe-v1.2", "5.2", "MB", "-"] for line in lines)
    with voxhop.load() as model:
        cost = f"{model.info.macs_per_hop / 1e6:.1f} M multiply-accumulates per hop"
    assert lines[0].split()[0] == voxhop.DEFAULT_MODEL
    assert lines[0].endswith(f"MB  here  in the package; {cost}; apache-2.0")
    assert main(["models", "path", voxhop.DEFAULT_MODEL]) == 0
    assert capsys.readouterr().out == f"{find_model(voxhop.DEFAULT_MODEL)}\n"
    assert main(["models", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] == [str(own_cache / published.file)]


@pytest.mark.usefixtures("server")
def test_load_takes_the_name_of_a_downloaded_model_and_never_downloads(published):
    with pytest.raises(ModelFileError, match="voxhop models get test-model"):
        find_model("test-model")
    path = registry.fetch("test-model")
    assert find_model("test-model") == path == find_model(published.file)


def test_the_command_s_exit_codes(published, server, own_cache, capsys):
    assert main(["models", "get", "nonsense"]) == 2
    assert main(["models", "get", "test-model", "--offline"]) == 1
    assert main(["models", "get", "test-model", "--mirror", server.url("missing")]) == 1
    assert "HTTP 404" in capsys.readouterr().err
    assert main(["models", "get", "test-model"]) == 0
    (own_cache / published.file).write_bytes(b"X" + PAYLOAD[1:])
    assert main(["models", "verify", "test-model"]) == 1
    assert published.sha256 in capsys.readouterr().err
    assert main(["models"]) == 2


@pytest.mark.usefixtures("server")
def test_a_model_this_engine_cannot_run_is_said_to_be_so(published, monkeypatch, capsys):
    foreign = dataclasses.replace(published, loads=False)
    monkeypatch.setattr(registry, "PUBLISHED", (foreign,))
    assert main(["models", "get", "test-model"]) == 0
    assert "another kind of network" in capsys.readouterr().err


def test_importing_the_registry_loads_no_network_code():
    code = "import sys, voxhop.registry; print('urllib.request' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
