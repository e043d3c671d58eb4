"""The notebook of the tour is the tour; CI runs it when it builds the site."""

from __future__ import annotations

import json
import re

import notebook


def test_the_notebook_is_made_of_the_tour():
    kept = notebook.NOTEBOOK.read_text("utf-8")
    assert kept == notebook.as_text(notebook.notebook()), "run: python docs/notebook.py"


def test_every_block_of_the_tour_is_a_cell():
    text = notebook.TOUR.read_text("utf-8")
    blocks = re.findall(r"^```(?:bash|python)$", text, re.MULTILINE)
    cells = json.loads(notebook.NOTEBOOK.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) == len(blocks) == len(re.findall("literalinclude", text))
    prose = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert "{doc}" not in prose
    assert "```" not in prose
