"""What the pages name is there: files, modules, links and their anchors."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "deploy" / "README.md", *(ROOT / "docs").rglob("*.md")])
ROOMS = "wardlaw|models|client|strategies|server|simulations|analysis|tests|bench|studies|deploy|docs"
CODE = "wardlaw|models|client|strategies|server|simulations|analysis"
FILES = {".md", ".key", ".service"}

pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_files_are_there(page):
    named = re.findall(
        rf"(?<![\w/.-])((?:{ROOMS})/[\w/.-]*(?:\.(?:py|toml|md)\b|/(?=[`\s,)])))", page.read_text("utf-8")
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_modules_are_there(page):
    """A dotted name in code is a module, or something that a module has."""
    named = re.findall(rf"(?<![\w./])(?:{CODE})(?:\.[a-zA-Z_]\w*)+", page.read_text("utf-8"))
    missing = []
    for name in named:
        if Path(name).suffix in FILES:
            continue
        path = ROOT.joinpath(*name.split("."))
        inside = path.parent.with_suffix(".py")
        written = inside.read_text("utf-8") if inside.exists() else ""
        if not (path.is_dir() or path.with_suffix(".py").exists() or re.search(rf"\b{path.name}\b", written)):
            missing.append(name)
    assert missing == []


def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        file, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = (page.parent / file) if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    assert broken == []
