"""Acceptance runs: checks of a simulator on a machine, a line each, and one file with everything to send back.

What an engine checks is its own; a check is a title and a function that returns a `Finding`.
"""

from __future__ import annotations

import json
import platform
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from math import inf, sqrt
from pathlib import Path
from typing import Any, NamedTuple

from .._version import __version__
from ..errors import ConfigError
from ..pairs import Pairs, tally
from .heralded import Heralded
from .link import Expected

#: Two-sided false alarm 1e-6 per rate.
SIGMAS = 4.9


class Finding(NamedTuple):
    """Whether a check passed, what a person reads of it, and its numbers for the report."""

    good: bool
    detail: str
    numbers: Mapping[str, Any] = {}


Check = tuple[str, Callable[[], Finding]]


@dataclass
class Acceptance:
    """An acceptance run: whose it is, where its lines go, and what was found so far.

    ``versions`` are those of what the engine needs.  ``may_lack`` says that a check which raises
    `NotImplementedError` is skipped, as on the stand-in of the tests, rather than failed.
    """

    engine: str
    versions: Mapping[str, str]
    write: Callable[[str], object] = print
    report: Path | None = None
    may_lack: bool = False
    found: list[dict[str, Any]] = field(default_factory=list)

    def run(self, checks: Iterable[Check], *, pairs: int) -> bool:
        """Run all checks; returns whether none failed.

        The report is written after every check, so that what a run found until it was stopped is there.
        Raises `ConfigError` where the report cannot be written, or is there already.
        """
        self._save(pairs, accepted=None, fresh=True)
        self.write(self._heading())
        for title, check in checks:
            self._check(title, check)
            self._save(pairs, accepted=None)
        words = [one["word"] for one in self.found]
        accepted = "FAIL" not in words
        counted = [words.count(word) for word in ("PASS", "SKIP", "FAIL")]
        verdict = "ACCEPTED" if accepted else "NOT ACCEPTED"
        self.write("{}: {} checks passed, {} skipped, {} failed".format(verdict, *counted))
        self._save(pairs, accepted=accepted)
        return accepted

    def _heading(self) -> str:
        python = platform.python_version()
        named = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"engine {self.engine} on Python {python}, {platform.machine()}: {named}"

    def _check(self, title: str, check: Callable[[], Finding]) -> None:
        trace = ""
        begun = time.perf_counter()
        try:
            finding = check()
            word = "PASS" if finding.good else "FAIL"
        except NotImplementedError as missing:
            finding = Finding(False, str(missing))
            word = "SKIP" if self.may_lack else "FAIL"
        except Exception as error:  # it is a finding, and the others still have to run
            finding = Finding(False, f"{type(error).__name__}: {error}")
            word = "FAIL"
            trace = traceback.format_exc()
        entry: dict[str, Any] = {
            "title": title,
            "word": word,
            "detail": finding.detail,
            "numbers": dict(finding.numbers),
            "seconds": round(time.perf_counter() - begun, 3),
        }
        if trace:
            entry["traceback"] = trace
        self.found.append(entry)
        self.write(f"{word}  {title}: {finding.detail}")

    def _save(
        self,
        pairs: int,
        *,
        accepted: bool | None,
        fresh: bool = False,
    ) -> None:
        if self.report is None:
            return
        values = {
            "report": "caligo-mpi engines --accept",
            "engine": self.engine,
            "accepted": accepted,  # null: the run was not finished
            "caligo_mpi": __version__,
            "python": platform.python_version(),
            "machine": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "versions": dict(self.versions),
            "pairs": pairs,
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "checks": self.found,
        }
        text = json.dumps(values, indent=1, ensure_ascii=False, default=float) + "\n"
        _replace(self.report, text, fresh=fresh)


def _replace(path: Path, text: str, *, fresh: bool) -> None:
    """Write the whole file or nothing of it; a ``fresh`` one must not be there."""
    part = path.with_name(f"{path.name}.part")
    try:
        if fresh:
            with path.open("x"):
                pass
        part.write_text(text, "utf-8")
        part.replace(path)
    except FileExistsError:
        raise ConfigError(
            f"--report {path}: it is there already; choose another file or remove it"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"--report {path}: it cannot be written ({error.strerror}); choose another place"
        ) from None


def versions_of(*names: str) -> dict[str, str]:
    """The installed ones of these distributions, with their releases."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def qbers(sample: Pairs, law: Expected | Heralded) -> Finding:
    """Both measured QBERs, compared with ``law``."""
    seen = tally(sample.columns, sample.count)
    z = seen.errors_z / seen.sifted_z
    x = seen.errors_x / seen.sifted_x
    far_z = sigmas(z, law.qber_z, seen.sifted_z)
    far_x = sigmas(x, law.qber_x, seen.sifted_x)
    z_words = f"Z {z:.4f} ({law.qber_z:.4f}, {far_z:+.1f} sigma)"
    x_words = f"X {x:.4f} ({law.qber_x:.4f}, {far_x:+.1f} sigma)"
    numbers = {
        "qber_z": z,
        "law_z": law.qber_z,
        "sifted_z": seen.sifted_z,
        "qber_x": x,
        "law_x": law.qber_x,
        "sifted_x": seen.sifted_x,
    }
    farthest = max(abs(far_z), abs(far_x))
    good = farthest <= SIGMAS
    return Finding(good, f"{z_words}, {x_words}", numbers)


def sigmas(rate: float, law: float, count: int) -> float:
    """How many standard deviations ``rate``, of ``count`` trials, is off ``law``.

    A rate that can only be 0 or 1 must be met exactly: anything else is infinitely far.
    """
    distance = rate - law
    spread = sqrt(law * (1 - law) / count)
    if spread > 1e-9:
        return distance / spread
    return 0.0 if abs(distance) < 1e-9 else inf
