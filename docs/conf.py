"""The pages as a site, by Sphinx with MyST: `make site`. Its environment is its own; nothing else needs it."""

from pathlib import Path

from sphinx.application import Sphinx

project = "Mirada"
author = "The authors of Mirada"
extensions = ["myst_parser"]
myst_heading_anchors = 3
root_doc = "README"
html_theme = "furo"
html_title = "Mirada"
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages
SECTIONS = {
    "Guide": "guide",
    "Reference": "reference",
    "Pages": ".",
    "Guía": "guia",
}


def setup(app: Sphinx) -> None:
    """Gives the first page the contents that Markdown in a repository has no need of."""
    app.connect("source-read", _with_contents)


def _with_contents(app: Sphinx, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += "".join(_contents(Path(app.srcdir), *each) for each in SECTIONS.items())


def _contents(docs: Path, caption: str, folder: str) -> str:
    """All pages of a folder, as a list that only the margin shows."""
    pages = [page.relative_to(docs).with_suffix("") for page in sorted((docs / folder).glob("*.md"))]
    listed = [page.as_posix() for page in pages if page.as_posix() != root_doc]
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *listed, "```", ""])
