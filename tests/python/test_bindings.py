"""Finding the engine library, and what is said when it is not there or not ours."""

import subprocess
import sys

import pytest

import voxhop
from voxhop import _bindings


@pytest.fixture
def unloaded():
    """Forget the loaded library for the length of a test."""
    _bindings.native.cache_clear()
    yield
    _bindings.native.cache_clear()


def test_library_lies_beside_the_package_or_beside_the_generated_module(tmp_path, monkeypatch):
    name = _bindings._LIBRARY_NAMES.get(sys.platform, "libvoxhop.so")
    package, build = tmp_path / "voxhop", tmp_path / "build"
    for folder in (package, build):
        (folder / "lib").mkdir(parents=True)
    monkeypatch.setattr(_bindings, "__file__", str(package / "_bindings.py"))
    generated = str(build / "_voxhop_cffi.py")
    with pytest.raises(voxhop.EngineError) as caught:
        _bindings.library_path(generated)
    assert str(package / "lib") in str(caught.value)
    assert str(build / "lib") in str(caught.value)
    (build / "lib" / name).touch()
    assert _bindings.library_path(generated) == build / "lib" / name
    (package / "lib" / name).touch()
    assert _bindings.library_path(generated) == package / "lib" / name


@pytest.mark.usefixtures("unloaded")
def test_missing_build_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "voxhop._voxhop_cffi", None)
    with pytest.raises(voxhop.EngineError, match="voxhop was not built"):
        voxhop.cpu_isas()


@pytest.mark.usefixtures("unloaded")
def test_file_that_is_no_library_is_named(tmp_path, monkeypatch):
    path = tmp_path / "libvoxhop.so"
    path.write_text("not a library")
    monkeypatch.setattr(_bindings, "library_path", lambda _file: path)
    with pytest.raises(voxhop.EngineError, match=r"libvoxhop\.so: cannot be loaded"):
        voxhop.load()


@pytest.mark.usefixtures("unloaded")
def test_library_of_another_abi_is_refused(monkeypatch):
    monkeypatch.setattr(_bindings, "ABI_VERSION", 999)
    with pytest.raises(voxhop.EngineError, match=r"ABI version \d+, expected 999"):
        voxhop.load()


def test_abi_version_is_that_of_the_header():
    assert _bindings.native().lib.VH_ABI_VERSION == _bindings.ABI_VERSION


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("VH_E_ARGUMENT", voxhop.ArgumentError),
        ("VH_E_SHAPE", voxhop.ShapeError),
        ("VH_E_FILE", voxhop.ModelFileError),
        ("VH_E_MODEL", voxhop.ModelFileError),
        ("VH_E_STATE", voxhop.StateError),
        ("VH_E_MEMORY", voxhop.EngineError),
        ("VH_E_UNSUPPORTED", voxhop.EngineError),
        ("VH_E_INTERNAL", voxhop.EngineError),
    ],
)
def test_every_code_has_its_exception(code, error):
    n = _bindings.native()
    err = n.ffi.new("vh_error *", {"code": getattr(n.lib, code), "message": "die Größe".encode()})
    raised = n.error(err)
    assert type(raised) is error
    assert str(raised) == "die Größe"


def test_sessions_and_models_left_open_do_not_disturb_the_exit():
    code = (
        "import voxhop, numpy as np; model = voxhop.load(); session = model.session();"
        "cycle = [session]; cycle.append(cycle); model.self = model;"
        "session.process_hop(np.zeros(256, np.float32))"
    )
    found = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
