"""From files to a page, and to files of its figures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..._version import __version__
from ...errors import ConfigError, StoreError
from ...machine.wording import counted
from ...runs.sweeps.reading import is_sweep
from ...store import open_pairs, status
from ...store.files import disk_errors
from ...store.keys import is_keys_file
from ...store.names import output_name
from ..figures import save, svg
from ..figures.style import MISSING, can_draw, require_drawing
from ..job import analyze
from . import html, of_benches, of_keys, of_pairs, of_sweeps
from .section import Section

Name = str | os.PathLike[str]
_KINDS = ("png", "svg", "pdf")


def report(
    paths: Sequence[Name],
    output: Name = "report.html",
    *,
    figures: Name | None = None,
    judged: bool = True,
) -> Path:
    """Write one page about pairs files, keys files and directories of sweeps, which are compared; returns where it is.

    ``figures`` is a directory, new or empty, for each figure as PNG, SVG and PDF; without ``judged`` pairs files are
    not analyzed, which reads them whole.  An earlier page of ours at ``output`` is replaced, nothing else is.  Without
    matplotlib the page has no figures and says so.  Raises `StoreError` for files that cannot be read or written, and
    `EnvironmentProblem` where ``figures`` are asked for and cannot be drawn.
    """
    target = _target(output)
    folder = _folder(figures)
    if folder is not None:
        require_drawing()
    sections = [_section(os.fspath(path), judged=judged) for path in paths]
    titles = ", ".join(section.title for section in sections)
    text = html.page(f"caligo-mpi: {titles}", _body(sections))
    aside = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    with disk_errors(target, "writing the report", remedy="choose another place for it"):
        try:
            aside.write_text(text, "utf-8")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    if folder is not None:
        with disk_errors(folder, "writing the figures", remedy="choose another place for them"):
            _save_figures(sections, folder)
    return target


def _target(output: Name) -> Path:
    """Where the page goes: nothing is there, or a page of ours."""
    target = output_name(output)
    if target.exists() and not _is_ours(target):
        raise StoreError(
            f"{target} exists and is no report of this program; choose another output with -o"
        )
    return target


def _is_ours(page: Path) -> bool:
    ours = html.BEGINNING.encode()
    with page.open("rb") as file:
        begin = file.read(len(ours))
    return begin == ours


def _folder(figures: Name | None) -> Path | None:
    """The directory for figures, which is empty or not there."""
    if figures is None:
        return None
    folder = Path(figures)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if not folder.is_dir() and folder.exists():
            raise StoreError(f"{folder} is a file; name a directory for the figures")
        if any(folder.iterdir()):
            raise StoreError(f"{folder} is not empty; name another directory for the figures")
    return folder


def _section(path: str, *, judged: bool) -> Section:
    if is_sweep(path):
        return of_sweeps.section(path)
    if of_benches.is_bench(path):
        return of_benches.section(path)
    if is_keys_file(path):
        return of_keys.section(path)
    found = status(path).path
    with open_pairs(found) as file:
        if not file.rows and not file.chunk_count:
            raise ConfigError(f"{found} has no chunk yet; wait for its first one to be written")
        has_bits = file.rows and not file.info.is_law
        analysis = analyze(found) if judged and has_bits else None
        return of_pairs.section(file, analysis)


def _body(sections: Sequence[Section]) -> Iterator[str]:
    yield html.heading(1, _title(sections))
    yield html.paragraph(f"Made by caligo-mpi {__version__}.", kind="faint")
    if len(sections) > 1:
        yield from _comparison(sections)
    for number, section in enumerate(sections):
        yield html.heading(2, section.title, anchor=f"file-{number}")
        yield from section.parts
        yield from _drawn(section, number)
        yield from section.after


def _drawn(section: Section, number: int) -> Iterator[str]:
    """A section's figures, or what is missing to draw them."""
    drawn = []
    for one in section.figures:
        element = svg(one.axes, name=f"f{number}-{one.name}")
        drawn.append((one.title, element))
    if drawn:
        yield html.heading(3, "Figures")
        yield html.grid(drawn)
    elif not can_draw():
        yield html.paragraph(MISSING, kind="faint")


def _title(sections: Sequence[Section]) -> str:
    if len(sections) == 1:
        return f"Report: {sections[0].title}"
    files = counted(len(sections), "file")
    return f"Report on {files}"


def _comparison(sections: Sequence[Section]) -> Iterator[str]:
    """A table for each kind of file; kinds differ in what can be said in a line."""
    kinds: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for number, section in enumerate(sections):
        title = html.escaped(section.title)
        link = html.Marked(f'<a href="#file-{number}">{title}</a>')
        names = tuple(section.summary)
        rows = kinds.setdefault(names, [])
        rows.append((link, *section.summary.values()))
    for names, rows in kinds.items():
        right = [place for place, name in enumerate(names, 1) if _is_number(name)]
        yield html.table(("file", *names), rows, numbers=right)


def _is_number(name: str) -> bool:
    """Whether a column of the comparison has numbers: those with a unit, and counts."""
    return "/" in name or name in ("pairs", "rows")


def _save_figures(sections: Sequence[Section], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, section in enumerate(sections, 1):
        stem = Path(section.title).stem
        front = f"{number}-{stem}" if len(sections) > 1 else stem
        for one in section.figures:
            for kind in _KINDS:
                file = folder / f"{front}-{one.name}.{kind}"
                save(one.axes, file)
