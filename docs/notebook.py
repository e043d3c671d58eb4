"""The tour as a notebook: made of tour.md, so that both say the same; run when the site is built.

`python docs/notebook.py` writes docs/tour.ipynb after a change of tour.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TOUR, NOTEBOOK = HERE / "tour.md", HERE / "tour.ipynb"
#: What is run, and what only shows on the page what came out.
_FENCE = re.compile(
    r"^```(bash|python|\{literalinclude\})[^\n]*\n(.*?)^```\n", re.DOTALL | re.MULTILINE
)
_MAGIC = "%%bash -e\n"


def notebook() -> dict[str, Any]:
    """The notebook without outputs, as JSON values."""
    numbered = enumerate(_cells(TOUR.read_text("utf-8")), 1)
    cells = [{**cell, "id": f"cell-{number}"} for number, cell in numbered]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def as_text(values: dict[str, Any]) -> str:
    """A notebook as the text of its file."""
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def _cells(text: str) -> Iterator[dict[str, Any]]:
    at = 0
    for found in _FENCE.finditer(text):
        yield from _prose(text[at : found.start()])
        language, body = found.groups()
        if language == "bash":
            yield _code(_MAGIC + body)
        elif language == "python":
            yield _code(body)
        at = found.end()
    yield from _prose(text[at:])


def _prose(text: str) -> Iterator[dict[str, Any]]:
    plain = re.sub(r"\{download\}`[^`<]*<[^>]*>`", "as a notebook", text)
    plain = re.sub(r"\{doc\}`([\w-]+)`", r"[\1](\1.md)", plain)
    plain = plain.replace("](_generated/tour/", "](").strip()
    if plain:
        yield {"cell_type": "markdown", "metadata": {}, "source": _lines(plain)}


def _code(body: str) -> dict[str, Any]:
    source = _lines(body.rstrip())
    return {
        "cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": source,
    }  # fmt: skip


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def take(folder: Path) -> None:
    """Run the notebook in ``folder``, unless it was run there; the outputs are 1.txt, 2.txt and so on."""
    text = as_text(notebook())
    done = folder / "done"
    if done.exists() and done.read_text("utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ran = _run(text, folder)
    cells = [cell for cell in ran.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, 1):
        printed = [one.text for one in cell.outputs if one.get("name") == "stdout"]
        (folder / f"{number}.txt").write_text("".join(printed), "utf-8")
    done.write_text(text, "utf-8")


def _run(text: str, folder: Path) -> Any:
    """The notebook with its outputs, also as tour.ipynb in ``folder``; a cell that fails ends it with what it said."""
    import nbformat
    from nbclient import NotebookClient

    cells = nbformat.reads(text, as_version=4)
    with tempfile.TemporaryDirectory(prefix="caligo-tour-") as scratch:
        os.environ["IPYTHONDIR"] = scratch  # nothing of a person's own
        where = {"metadata": {"path": str(folder)}}
        quiet = ["--log-level=ERROR"]
        NotebookClient(cells, timeout=600, resources=where, extra_arguments=quiet).execute()
    nbformat.write(cells, folder / NOTEBOOK.name)
    return cells


if __name__ == "__main__":
    NOTEBOOK.write_text(as_text(notebook()), "utf-8")
