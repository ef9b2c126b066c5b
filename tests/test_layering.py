"""Dependencies point one way: see docs/architecture.md."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "src" / "voxhop"

# What each folder of csrc may include besides itself; the public header is for all but
# kernels, which include nothing of ours.
MAY_INCLUDE = {
    "kernels": set(),
    "core": {"voxhop.h"},
    "dsp": {"core", "kernels"},
    "delay": {"voxhop.h", "core", "dsp"},
    "blocks": {"voxhop.h", "core", "kernels", "dsp"},
    "models": {"voxhop.h", "core", "blocks"},
    "stream": {"voxhop.h", "core", "delay", "dsp"},
    "chain": {"voxhop.h", "core", "dsp", "stream"},
    "codec": {"voxhop.h", "core", "stream"},
    "capi": {"voxhop.h", "core", "blocks", "codec", "delay", "dsp", "models", "stream", "chain"},
    "": {"voxhop.h", "core"},
    "plugins": {"voxhop.h"},
    "include": set(),
}

# Rooms and modules, lowest first: none may reach one that stands after it.
PYTHON_ORDER = ["errors", "_bindings", "engine", "models", "stream", "files", "adapters", "cli"]
# The same inside training: what clips are made of, what models learn by, what runs them.
TRAINING_ORDER = [
    *("draw", "state", "sounds", "simulation", "losses"),
    *("localvqe", "seflow", "sublime", "streamfm"),
    *("config", "recipes", "run", "release"),
]
TORCH_PACKAGES = {"reference", "export", "training", "evaluation"}


def includes():
    for path in sorted(CSRC.rglob("*")):
        if path.suffix not in {".h", ".cpp"}:
            continue
        folder = path.relative_to(CSRC).parts[0] if path.parent != CSRC else ""
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE):
            yield path.relative_to(CSRC), folder, name


def test_cpp_includes_point_down():
    seen = 0
    for path, folder, name in includes():
        target = name.split("/")[0]
        allowed = MAY_INCLUDE[folder] | ({folder} if folder else set())
        # A name without a folder is a neighbour of the file, or the public header.
        inside = "/" not in name and (CSRC / path.parent / name).exists()
        assert inside or target in allowed, f"csrc/{path} includes {name}"
        seen += 1
    assert seen > 50


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


def runtime_imports(tree):
    """Yield what importing the module imports: not under TYPE_CHECKING, not in functions."""
    for node in tree.body:
        nodes = [node]
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            nodes = [inner for inner in ast.walk(node) if isinstance(inner, ast.stmt)]
        for inner in nodes:
            if isinstance(inner, ast.Import):
                yield from (alias.name for alias in inner.names)
            elif isinstance(inner, ast.ImportFrom) and inner.level == 0:
                yield inner.module
                if inner.module == "voxhop":
                    yield from (f"voxhop.{alias.name}" for alias in inner.names)


@pytest.fixture(scope="module")
def imports():
    return {
        module_name(path): set(runtime_imports(ast.parse(path.read_text())))
        for path in PACKAGE.rglob("*.py")
    }


@pytest.fixture(scope="module")
def graph(imports):
    own = {}
    for module, names in imports.items():
        inner = {name.removeprefix("voxhop.") for name in names if name.startswith("voxhop.")}
        # `from voxhop.pack import part` inside the package names the package as well.
        own[module] = {n for n in inner if n in imports and not module.startswith(n + ".")}
    return own


def reach(graph, start):
    found, open_ = set(), [start]
    while open_:
        for name in graph[open_.pop()] - found:
            found.add(name)
            open_.append(name)
    return found


def check_order(graph, order, start=""):
    """No room or module whose name begins with `start` reaches one that stands after it."""
    depth = len(start)
    room_of = {name: name[depth:].split(".")[0] for name in graph if name.startswith(start)}
    for i, room in enumerate(order):
        above = set(order[i + 1 :])
        inside = [module for module, where in room_of.items() if where == room]
        assert inside, f"voxhop.{start}{room}: nothing there"
        for module in inside:
            upward = {name for name in reach(graph, module) if room_of.get(name) in above}
            assert not upward, f"voxhop.{module} reaches {sorted(upward)}"
    return set(room_of.values())


def test_python_layers_point_down(graph):
    check_order(graph, PYTHON_ORDER)


def test_training_rooms_point_down(graph):
    assert check_order(graph, TRAINING_ORDER, "training.") == set(TRAINING_ORDER)


def test_no_python_module_imports_itself_around_a_corner(graph):
    for module in graph:
        assert module not in reach(graph, module), f"voxhop.{module} is part of a cycle"


def test_the_base_package_does_not_import_the_torch_packages(graph):
    for module in graph:
        if module.split(".")[0] in TORCH_PACKAGES | {"cli"}:
            continue
        upward = {name for name in reach(graph, module) if name.split(".")[0] in TORCH_PACKAGES}
        assert not upward, f"voxhop.{module} imports {sorted(upward)}"


def test_only_the_bindings_touch_cffi(imports):
    users = {module for module, names in imports.items() if "cffi" in names}
    assert users == {"_bindings"}


def test_a_download_does_not_need_the_registry_that_asks_for_it():
    tree = ast.parse((PACKAGE / "_download.py").read_text())
    reached = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert "voxhop.errors" in reached
    assert "voxhop.registry" not in reached
