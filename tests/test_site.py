"""The documentation is built as a site: all links and headings exist, and nothing is loaded from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import machamp_lite

ROOT = Path(__file__).resolve().parents[1]
# What a page loads when it is opened, unlike a link.
LOADED = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(https?:)?//|<link[^>]*\shref=[\"']?(https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_docs_is_in_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.*"):
        name = page.relative_to(ROOT / "docs").with_suffix("")
        if page.suffix in (".md", ".ipynb"):
            assert (site / (name.parent if name.name == "README" else name) / "index.html").is_file(), page


def test_the_site_has_the_version_and_every_public_name(site: Path) -> None:
    assert f"machamp_lite {machamp_lite.__version__}" in (site / "index.html").read_text(encoding="utf-8")
    api = (site / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    assert not [name for name in machamp_lite.__all__ if f'id="machamp_lite.{name}"' not in api]


def test_links_out_of_docs_lead_to_copies(site: Path) -> None:
    page = (site / "using" / "configs" / "index.html").read_text(encoding="utf-8")
    copy = site / "files" / "configs" / "schema" / "dataset.schema.json"
    assert 'href="../../files/configs/schema/dataset.schema.json"' in page
    assert copy.read_bytes() == (ROOT / "configs" / "schema" / "dataset.schema.json").read_bytes()


def test_pages_load_nothing_from_other_servers(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not LOADED.search(page.read_text(encoding="utf-8")), page
