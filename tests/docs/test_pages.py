"""Pages that are made from the code are up to date, and the site is complete and needs no network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import make_reference_pages, make_statistics_figures
from tests.conftest import ROOT

DOCS = ROOT / "docs"
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
# In HTML, what makes a browser load something; a link (<a href>) does not.
LOADS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(https?:)?//|<link\b(?![^>]*canonical)[^>]*\bhref=[\"']?(https?:)?//"
)


@pytest.mark.parametrize("name", make_reference_pages.pages())
def test_a_generated_page_is_up_to_date(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == make_reference_pages.pages()[name], "run `python -m docs.make_reference_pages`"


def test_a_generated_page_has_a_meaning_for_every_field() -> None:
    for name, page in make_reference_pages.pages().items():
        for row in page.splitlines():
            if row.startswith("| `"):
                assert not row.endswith("|  |"), f"{name}: {row}"


@pytest.mark.parametrize("name", make_statistics_figures.CHARTS)
def test_a_figure_is_up_to_date_and_on_the_page(name: str) -> None:
    written = (DOCS / "figures" / f"{name}.svg").read_text(encoding="utf-8")
    assert written == make_statistics_figures.svg(name), "run `python -m docs.make_statistics_figures`"
    assert f"](figures/{name}.svg)" in (DOCS / "statistics.md").read_text(encoding="utf-8")


def test_lines_of_the_statistics_page_are_at_most_128_characters() -> None:
    """Except rows of tables, and what a benchmark writes between its marks."""
    text = re.sub(
        r"(?s)<!-- \w+:begin -->.*?<!-- \w+:end -->", "", (DOCS / "statistics.md").read_text(encoding="utf-8")
    )
    assert [line for line in text.splitlines() if len(line) > 128 and not line.startswith("|")] == []


def test_links_of_files_outside_the_site_lead_to_files() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        for target in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{name}: {target}"


def test_pages_that_the_code_names_exist() -> None:
    """Messages and docstrings name pages as docs/NAME.md."""
    folders = ("harness", "trainers", "reports", "tasks", "experiments", "benchmarks")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for page in re.findall(r"\bdocs/\w+\.md\b", path.read_text(encoding="utf-8")):
            assert (ROOT / page).is_file(), f"{path}: {page}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as by `make docs`: a warning, such as a broken link or a page that no menu lists, is an error."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    target = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(target), strict=True))
    return target


def test_the_site_has_every_page_and_figure(site: Path) -> None:
    for page in DOCS.glob("*.md"):
        assert (site / page.with_suffix(".html").name).is_file()
    assert (site / "figures" / "wilson.svg").is_file()
    assert (site / "files" / "experiments" / "quickstart.yaml").is_file()


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        found = LOADS.search(page.read_text(encoding="utf-8"))
        assert found is None, f"{page}: {found}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:|@import [\"']https?:", style.read_text(encoding="utf-8")), style


def test_pictures_load_nothing_from_elsewhere() -> None:
    for picture in [*(DOCS / "pictures").glob("*.svg"), *(DOCS / "figures").glob("*.svg")]:
        text = re.sub(r"xmlns(:\w+)?=\"[^\"]*\"", "", picture.read_text(encoding="utf-8"))
        assert "http" not in text, picture
