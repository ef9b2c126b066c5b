"""What `mkdocs.yml` needs beyond `docs/`: pages that live elsewhere, and links between them.

The repository reads well by itself, so its links are those of its folders. On the site the
README is the first page, results, model cards, changes and contributing are pages too, and a link
to any other file of the source tree becomes its name. Pages and public names that nobody has put
in their place come last.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parent.parent
_SECTIONS: Final = {"tutorials/*.md": "Tutorials", "how-to/*.md": "How to", "*.md": "Reference"}
_FIGURES: Final = "Latency and quality"
_LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_FENCE: Final = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)


def _elsewhere() -> Iterator[str]:
    """Yield the files outside ``docs`` that are part of the site, as paths of the repository."""
    yield from ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
    for pattern in ("benchmarks/results/*.md", "models/*/MODEL_CARD.md", "models/*/*.png"):
        yield from (path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob(pattern)))


def _on_site(path: str) -> str:
    """Return where a file of the repository lies on the site."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def on_config(config: Any) -> Any:  # noqa: ANN401 - of mkdocs
    """Append pages that `nav` does not name to their section; mkdocs calls this.

    `nav` gives the order of those that it names.
    """
    named = set(re.findall(r"[\w./-]+\.md", str(config["nav"])))
    found = [
        (section, path.relative_to(ROOT / "docs").as_posix())
        for folder, section in _SECTIONS.items()
        for path in sorted((ROOT / "docs").glob(folder))
    ]
    found += [(_FIGURES, _on_site(path)) for path in _elsewhere() if path.endswith(".md")]
    for section, page in found:
        if page not in named:
            next(entry[section] for entry in config["nav"] if section in entry).append(page)
    return config


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401 - of mkdocs
    """Add the pages that live elsewhere; mkdocs calls this."""
    for path in _elsewhere():
        source = str(ROOT / path)
        files.append(File.generated(config, _on_site(path), abs_src_path=source))
    return files


def _rest_of(markdown: str) -> str:
    """Return the public names of the package that the page of names does not have yet."""
    tree = ast.parse((ROOT / "src/voxhop/__init__.py").read_text(encoding="utf-8"))
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    shown = set(re.findall(r"^::: voxhop\.(\w+)$", markdown, re.MULTILINE)) | {"__version__"}
    missing = "\n\n".join(f"::: voxhop.{name}" for name in names if name not in shown)
    return f"\n## Further\n\n{missing}\n" if missing else ""


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:  # noqa: ANN401
    """Point the links of a page at the site; mkdocs calls this."""
    own = page.file.src_uri
    if own == "api.md":
        markdown += _rest_of(markdown)
    pages = {_on_site(path): path for path in _elsewhere()}
    lives = posixpath.dirname(pages.get(own, f"docs/{own}"))

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = posixpath.normpath(posixpath.join(lives, target))
        site = _on_site(path)
        if files.get_file_from_path(site) is None:
            if not (ROOT / path).exists():
                return found[0]  # mkdocs says so
            return text if path in text else f"{text} (`{path}`)"
        to = posixpath.relpath(site, posixpath.dirname(own) or ".")
        return f"[{text}]({to}{anchor})"

    parts = _FENCE.split(markdown)
    return "".join(part if i % 2 else _LINK.sub(link, part) for i, part in enumerate(parts))
