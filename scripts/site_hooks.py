"""Hooks of mkdocs: the version in the title, notebooks as pages, copies of files outside docs/ that pages link to."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

import machamp_lite

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Links to notebooks, and links that leave the folder of a page; both without headings.
_NOTEBOOK = re.compile(r"(?<=\]\()([^):\s]+)\.ipynb(?=\))")
_ABOVE = re.compile(r"(?<=\]\()((?:\.\./)+[^)#\s]+)")
# The folder of the copies in the site.
COPIES = "files"


def on_config(config: Any) -> Any:
    """Adds the version to the title."""
    config.site_name = f"{config.site_name} {machamp_lite.__version__}"
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """Adds a page per notebook, and the files outside docs/ to which pages link."""
    pages = [Path(str(file.abs_src_path)) for file in files.documentation_pages()]
    links = [(page, target) for page in pages for target in _ABOVE.findall(page.read_text(encoding="utf-8"))]
    for path in sorted({path for page, target in links if (path := _outside(page, target))}):
        files.append(File.generated(config, f"{COPIES}/{path.relative_to(ROOT)}", abs_src_path=str(path)))
    for path in sorted(DOCS.rglob("*.ipynb")):
        name, content = str(path.relative_to(DOCS).with_suffix(".md")), notebook_page(path)
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links to the pages of notebooks and to the copies of files."""
    source = DOCS / page.file.src_uri
    above = "../" * page.file.src_uri.count("/")

    def link(match: re.Match[str]) -> str:
        path = _outside(source, match[0])
        return f"{above}{COPIES}/{path.relative_to(ROOT)}" if path else match[0]

    return _ABOVE.sub(link, _NOTEBOOK.sub(r"\1.md", markdown))


def notebook_page(path: Path) -> str:
    """A notebook with its outputs as Markdown."""
    return "\n\n".join(_parts(json.loads(path.read_text(encoding="utf-8"))))


def _parts(notebook: Any) -> Iterator[str]:
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        yield source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", [])})
            if "image/png" in data:
                yield f'<img alt="output" src="data:image/png;base64,{data["image/png"]}">'
            elif "text/html" in data:
                # A blank line would end the block.
                yield "<div>" + "".join(line for line in data["text/html"] if line.strip()) + "</div>"
            else:
                yield f"```text\n{''.join(data['text/plain']).rstrip()}\n```"


def _outside(page: Path, target: str) -> Path | None:
    """The file outside docs/ to which a page links; None for another link."""
    path = (page.parent / target).resolve()
    return path if path.is_file() and path.is_relative_to(ROOT) and not path.is_relative_to(DOCS) else None
