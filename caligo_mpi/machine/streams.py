"""Standard output and error, whatever is at their other end.

`prepare` replaces both by streams that cannot fail: what the terminal's encoding lacks is written in other letters, and
what cannot be written at all (the reader has gone, the terminal was closed, the disk is full) is dropped.  A run whose
work is done does not end in failure for want of a way to say so; a verb whose text *is* its work calls `deliver`.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import select
import sys

from ..errors import EnvironmentProblem

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from typing import TextIO

#: How what we print reads where the terminal cannot show it.
_STAND_INS = {
    "σ": "sigma", "µ": "u", "μ": "u", "±": "+-", "…": "...", "−": "-", "–": "-", "—": "-", "·": "*", "×": "x",
    "≤": "<=", "≥": ">=", "→": "->", "√": "sqrt", "’": "'", "‘": "'", "“": '"', "”": '"', "━": "-", "╸": "-", "╺": "-",
}  # fmt: skip
_HANDLER = "caligo_mpi"
#: All control characters but tabulators and ends of lines.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _in_other_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of our streams; bytes of a file's name that are no text are written as they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    behind = error.start + 1
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:
        byte = number - 0xDC00
        return bytes([byte]), behind
    escaped = letter.encode("ascii", "backslashreplace")
    return _STAND_INS.get(letter, escaped.decode()), behind


codecs.register_error(_HANDLER, _in_other_letters)


class _Patient(io.FileIO):
    """A descriptor that drops what cannot be written, and remembers why."""

    lost: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Write, waiting where the other end is slow."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.lost = error
            return len(data)
        return written


def prepare() -> None:
    """Make this process's standard streams such that writing to them never raises."""
    _open_what_is_closed()
    if sys.stdout is sys.__stdout__:  # else somebody catches what we print
        sys.stdout = _stream(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(2, sys.stderr)


def _open_what_is_closed() -> None:
    """Give closed standard descriptors to nobody: the next file would get the number, and with it what MPI prints."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def _stream(number: int, before: TextIO | None) -> TextIO:
    encoding = "utf-8"
    if before is not None:
        encoding = before.encoding
    raw = _Patient(number, "w", closefd=False)
    lines = number == 2 or raw.isatty()
    buffer = io.BufferedWriter(raw)  # type: ignore[type-var]
    return io.TextIOWrapper(
        buffer,
        encoding=encoding,
        errors=_HANDLER,
        line_buffering=lines,
    )


def width() -> int:
    """Columns of the terminal, as far as a line may sensibly be long."""
    import shutil  # with all its compressors a tenth of a start

    terminal = shutil.get_terminal_size()
    return bounded(terminal.columns)


def bounded(columns: int) -> int:
    """A number of columns that a line can be written in.

    >>> bounded(80), bounded(10**12), bounded(-1)
    (80, 500, 20)
    """
    return min(max(columns, 20), 500)


def say(message: str) -> None:
    """One sentence on the standard error."""
    note(f"caligo-mpi: {message}")


def note(text: str) -> None:
    """One line on the standard error."""
    print(plain(text), file=sys.stderr, flush=True)


def plain(text: str) -> str:
    r"""The text without characters that a terminal obeys; names and files may come from anywhere.

    >>> plain("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return _OBEYED.sub(lambda found: repr(found[0])[1:-1], text)


def tell(text: str) -> None:
    """What has been done, on the standard output."""
    print(plain(text), flush=True)
    error = _lost()
    if error is not None and error.errno != errno.EPIPE:
        say(
            f"the summary cannot be written to the standard output ({error.strerror}); the work itself is done"
        )


def deliver(text: str, *, end: str = "\n") -> None:
    """What was asked for, on the standard output; `EnvironmentProblem` where it cannot be written.

    A reader that has gone has seen enough: that is no error.
    """
    print(text, end=end, flush=True)
    error = _lost()
    if error is not None and error.errno != errno.EPIPE:
        raise EnvironmentProblem(
            f"the standard output cannot be written ({error.strerror}); "
            "send it elsewhere and run the same command again"
        )


def _lost() -> OSError | None:
    """Why something that was printed did not get out."""
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", None)
    if isinstance(raw, _Patient):
        return raw.lost
    return None
