"""The site of the documents: no warning, no dead link, every public name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import voxhop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason='the site needs pip install "voxhop[docs]"')
    folder = tmp_path_factory.mktemp("site")
    command = ["-m", "mkdocs", "build", "--strict", "--config-file", str(ROOT / "mkdocs.yml")]
    done = subprocess.run(
        [sys.executable, *command, "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        # The theme's authors else advertise, on stderr and with this word in it.
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def pages(site):
    for path in sorted(site.rglob("*.html")):
        yield path, path.read_text(encoding="utf-8")


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    missing, loaded, seen = [], [], 0
    for page, text in pages(site):
        for kind, target in re.findall(r'(href|src)="([^"#]+)', text):
            if "://" in target or target.startswith(("mailto:", "data:")):
                if kind == "src":
                    loaded.append((page, target))
                continue
            seen += 1
            base = site if target.startswith("/") else page.parent
            if not (base / target.lstrip("/")).exists():
                missing.append((page, target))
    assert seen > 1000
    assert missing == []
    assert loaded == []


def test_no_link_of_the_repository_is_left(site):
    for page, text in pages(site):
        assert not re.search(r'href="[^":]*\.md["#]', text), page


@pytest.mark.parametrize("name", sorted(set(voxhop.__all__) - {"__version__"}))
def test_every_public_name_has_its_docstring_on_the_page(site, name):
    text = (site / "api" / "index.html").read_text(encoding="utf-8")
    anchor = re.search(rf'id="(voxhop\.(?:\w+\.)*{name})"', text)
    assert anchor, name


def test_every_adapter_is_on_the_page(site):
    text = (site / "api-adapters" / "index.html").read_text(encoding="utf-8")
    folder = Path(voxhop.__file__).parent / "adapters"
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert modules
    for module in modules:
        assert f'id="voxhop.adapters.{module}.' in text
    assert "Parameters:" in text  # the sections of the docstrings are understood
