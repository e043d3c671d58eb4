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

_KINDS = ("png", "svg", "pdf")


def report(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] = "report.html",
    *,
    figures: str | os.PathLike[str] | None = None,
    judged: bool = True,
) -> Path:
    """Write one page about pairs files, keys files and directories of sweeps, which are compared; returns where it is.

    ``figures`` is a directory, new or empty, for each figure as PNG, SVG and PDF; without ``judged`` pairs files are
    not analyzed, which reads them whole.  An earlier page of ours at ``output`` is replaced, nothing else is.  Without
    matplotlib the page has no figures and says so.  Raises `StoreError` for files that cannot be read or written, and
    `EnvironmentProblem` where ``figures`` are asked for and cannot be drawn.
    """
    target, folder = _target(output), _folder(figures)
    if folder is not None:
        require_drawing()
    sections = [_section(os.fspath(path), judged=judged) for path in paths]
    text = html.page(
        f"caligo-mpi: {', '.join(section.title for section in sections)}", _body(sections)
    )
    aside = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    with disk_errors(target, "writing the report", remedy="choose another place for it"):
        try:
            aside.write_text(text, "utf-8")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        if folder is not None:
            _save_figures(sections, folder)
    return target


def _target(output: str | os.PathLike[str]) -> Path:
    target = output_name(output)
    if target.exists():
        with target.open("rb") as file:
            begin = file.read(len(html.BEGINNING))
        if begin != html.BEGINNING.encode():
            raise StoreError(
                f"{target} exists and is no report of this program; choose another output with -o"
            )
    return target


def _folder(figures: str | os.PathLike[str] | None) -> Path | None:
    if figures is None:
        return None
    folder = Path(figures)
    with contextlib.suppress(FileNotFoundError):
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
        return of_pairs.section(
            file, analyze(found) if judged and file.rows and not file.info.is_law else None
        )


def _body(sections: Sequence[Section]) -> Iterator[str]:
    yield html.heading(1, _title(sections))
    yield html.paragraph(f"Made by caligo-mpi {__version__}.", kind="faint")
    if len(sections) > 1:
        yield from _comparison(sections)
    for number, section in enumerate(sections):
        yield html.heading(2, section.title, anchor=f"file-{number}")
        yield from section.parts
        drawn = [
            (one.title, svg(one.axes, name=f"f{number}-{one.name}")) for one in section.figures
        ]
        if drawn:
            yield html.heading(3, "Figures")
            yield html.grid(drawn)
        elif not can_draw():
            yield html.paragraph(MISSING, kind="faint")
        yield from section.after


def _title(sections: Sequence[Section]) -> str:
    if len(sections) == 1:
        return f"Report: {sections[0].title}"
    return f"Report on {counted(len(sections), 'file')}"


def _comparison(sections: Sequence[Section]) -> Iterator[str]:
    """A table for each kind of file; kinds differ in what can be said in a line."""
    kinds: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for number, section in enumerate(sections):
        link = html.Marked(f'<a href="#file-{number}">{html.escaped(section.title)}</a>')
        row = (link, *section.summary.values())
        kinds.setdefault(tuple(section.summary), []).append(row)
    for names, rows in kinds.items():
        right = [
            place for place, name in enumerate(names, 1) if "/" in name or name in ("pairs", "rows")
        ]
        yield html.table(("file", *names), rows, numbers=right)


def _save_figures(sections: Sequence[Section], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, section in enumerate(sections, 1):
        stem = Path(section.title).stem
        front = f"{number}-{stem}" if len(sections) > 1 else stem
        for one in section.figures:
            for kind in _KINDS:
                save(one.axes, folder / f"{front}-{one.name}.{kind}")
