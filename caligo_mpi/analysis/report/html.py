"""The parts of a page: escaped text, tables, figures, and the style of all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape, unescape
from importlib import resources

#: Letters of a cell that stay on one line.
_SHORT = 26
#: A space at which no line ends.
_NO_BREAK = "\N{NO-BREAK SPACE}"
#: Columns of a table that fit on paper in letters of the usual size.
_WIDE = 8
#: What a page of ours begins with: only such a page is ever replaced.
BEGINNING = "<!doctype html>\n<!-- a report of caligo-mpi -->\n"


def _style() -> str:
    file = resources.files(__package__).joinpath("style.css")
    return file.read_text("utf-8")


def page(title: str, parts: Iterable[str]) -> str:
    """A page that needs nothing else: no script, no network."""
    head = (
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_style()}</style></head>"
    )
    body = "\n".join(parts)
    return f"{BEGINNING}{head}\n<body>\n<main>\n{body}\n</main>\n</body></html>\n"


def heading(level: int, text: str, *, anchor: str = "") -> str:
    """A heading; ``anchor`` is its name for links."""
    name = f' id="{escape(anchor)}"' if anchor else ""
    return f"<h{level}{name}>{escape(text)}</h{level}>"


def paragraph(text: str, *, kind: str = "") -> str:
    """A paragraph of plain text."""
    marked = f' class="{kind}"' if kind else ""
    return f"<p{marked}>{escape(text)}</p>"


def bullets(lines: Iterable[object]) -> str:
    """A list of plain text."""
    items = [f"<li>{escape(str(line))}</li>" for line in lines]
    return f"<ul>{''.join(items)}</ul>"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values."""
    lines = []
    for name, value in rows:
        cells = f"<th>{escape(name)}</th><td>{escape(str(value))}</td>"
        lines.append(f"<tr>{cells}</tr>")
    return f'<table class="facts">{"".join(lines)}</table>'


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Iterable[int] = (),
) -> str:
    """A table; ``numbers`` are the columns that are set to the right."""
    right = set(numbers)
    names = [_unbroken(name) for name in header]
    head = _row("th", names, right)
    lines = [_row("td", row, right) for row in rows]
    body = "".join(lines)
    # A head of its own is printed on every page.
    whole = f"<thead>{head}</thead><tbody>{body}</tbody>"
    kind = ' class="wide"' if len(header) > _WIDE else ""
    return f'<div class="scroll"><table{kind}>{whole}</table></div>'


def _unbroken(name: str) -> str:
    """A column's name whose unit stays with its last word."""
    whole = name.replace(" / ", f"{_NO_BREAK}/{_NO_BREAK}")
    return whole.replace(" %", f"{_NO_BREAK}%")


def _row(kind: str, values: Sequence[object], right: set[int]) -> str:
    cells = []
    for place, value in enumerate(values):
        text = letters = str(value)
        if isinstance(value, Marked):
            unmarked = re.sub("<[^>]*>", "", text)
            letters = unescape(unmarked)
        else:
            text = escape(text)
        name = "short" if len(letters) <= _SHORT else "long"
        if place in right:
            name = "number"
        cells.append(f'<{kind} class="{name}">{text}</{kind}>')
    return f"<tr>{''.join(cells)}</tr>"


def words(names: Iterable[str]) -> list[str]:
    """Names of columns as the header of a table."""
    return [name.replace("_", " ") for name in names]


def first_of(shown: int, all_: int, what: str) -> Iterator[str]:
    """A line below a table that shows only its first rows, where that is so."""
    if all_ > shown:
        yield paragraph(f"The first {shown} of {all_:,} {what}.", kind="faint")


def last_of(shown: int, all_: int, what: str) -> Iterator[str]:
    """A line below a table that shows only its last rows, where that is so."""
    if all_ > shown:
        yield paragraph(f"The last {shown} of {all_:,} {what}.", kind="faint")


def escaped(text: str) -> str:
    """Text as HTML."""
    return escape(text)


class Marked(str):
    """Text that is HTML already."""

    __slots__ = ()


def good(text: str) -> Marked:
    """Text that says that all is well."""
    return Marked(f'<span class="good">{escape(text)}</span>')


def bad(text: str) -> Marked:
    """Text that says that something is not."""
    return Marked(f'<span class="bad">{escape(text)}</span>')


def grid(figures: Iterable[tuple[str, str]]) -> str:
    """Figures beside each other, each a title for screen readers and an ``<svg>`` element."""
    parts = []
    for title, svg in figures:
        named = f'<figure aria-label="{escape(title)}">'
        parts.append(f"{named}{svg}</figure>")
    return f'<div class="grid">{"".join(parts)}</div>'


def columns(*parts: str) -> str:
    """Parts beside each other where there is room."""
    inner = "".join(f"<div>{part}</div>" for part in parts)
    return f'<div class="columns">{inner}</div>'


def code(text: str) -> str:
    """Text as it stands."""
    return f"<pre>{escape(text)}</pre>"
