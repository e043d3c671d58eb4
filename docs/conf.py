"""How Sphinx builds the site: `sphinx-build -W -b html docs build/site`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import generated  # noqa: E402

import caligo_mpi  # noqa: E402

project = "caligo-mpi"
author = "The caligo-mpi developers"
copyright = author
version = release = caligo_mpi.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 3
# Docstrings name things of ours and of others in single backticks; not all of them have a page.
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
exclude_patterns = ["_generated/README*", "**.ipynb"]

html_theme = "pydata_sphinx_theme"
html_title = "caligo-mpi"
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_end": ["theme-switcher"],
}
html_show_sourcelink = False
html_sidebars = {page: [] for page in ("tour", "coming-from")}


def setup(app: object) -> None:
    """Write the pages that are made of the code, and the tour's pictures."""
    generated.write(HERE / "_generated")
