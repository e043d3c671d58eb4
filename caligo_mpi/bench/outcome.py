"""What a run's process said and left behind, as a record."""

from __future__ import annotations

import json
import math
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import store
from ..errors import DONE, WRONG_USE, StoreError
from ..pairs import Tally
from ..pairs.intervals import z_score
from .child import Ended, Limits
from .plan import (
    FAILED,
    KILLED,
    MEMORY,
    OK,
    REFUSED,
    TIMEOUT,
    WRONG,
    Case,
    ClosedForm,
    closed_form,
)
from .session import Record

#: Rates further than this off their closed form are wrong; by chance one in 1.7 million is.
MOST_SIGMA = 5.0

#: Counts of a run, its error rates, and how far they are off.
Rates = dict[str, Any]
#: A state, and what is wrong.
Verdict = tuple[str, str | None]

_MOST_WORDS = 300
PAIRS_FILE, KEYS_FILE = "run.h5", "keys.h5"


def record_of(
    case: Case,
    ended: Ended,
    limits: Limits,
    folder: Path,
) -> dict[str, Any]:
    """The record of a run that has ended: state, problem, seconds, memory, bytes, rates."""
    state, problem = _state(ended, limits, folder)
    found: dict[str, Any] = {
        "state": state,
        "problem": problem,
        "seconds": {
            "process": ended.seconds,
            "run": None,
            "simulate": None,
        },
        "cpu_seconds": ended.cpu_seconds,
        "peak_bytes": ended.peak_bytes,
        "written_bytes": ended.written_bytes,
        "file_bytes": None,
        "pairs": case.pairs,
        "engine": None,
        "rates": None,
        "key_bits": None,
        "digest": None,
    }
    if state != OK:
        return found
    told = _told(folder)
    of_work = _OF_WORK[case.values["work"]]
    more = of_work(case, told, folder)
    times = {"run": told.get("seconds"), **more.pop("seconds", {})}
    found["seconds"] |= times
    found |= more
    if found["state"] == OK:
        found["state"], found["problem"] = verdict(found["rates"])
    return found


def _of_sample(case: Case, told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The counts that the process told."""
    if "seconds" not in told:
        return {"state": FAILED, "problem": "ended with exit code 0 and told nothing"}
    names = Tally.__dataclass_fields__
    counts = Tally(**{name: told[name] for name in names})
    law = closed_form(case, told)
    return {
        "engine": told["engine"],
        "rates": rates(counts, told["rows"], law),
    }


def _of_generate(case: Case, told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The counts of the file that was made."""
    path = folder / PAIRS_FILE
    try:
        status = store.status(path)
    except StoreError as error:
        problem = f"ended with exit code 0 and without its file: {error}"
        return {"state": FAILED, "problem": problem}
    law = closed_form(case, told)
    return {
        "engine": status.engine,
        "digest": status.data_digest,
        "file_bytes": _size(path),
        "seconds": {"simulate": status.seconds},
        "rates": rates(status.tally, status.rows, law),
    }


def _of_distill(case: Case, told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The keys' file, and the counts of the pairs that they are made of."""
    found = _of_generate(case, told, folder)
    size = _size(folder / KEYS_FILE)
    return {
        **found,
        "seconds": {},
        "file_bytes": size,
        "key_bits": told.get("key_bits"),
    }


_OF_WORK = {
    "sample": _of_sample,
    "generate": _of_generate,
    "distill": _of_distill,
}


def _state(ended: Ended, limits: Limits, folder: Path) -> Verdict:
    if ended.limit == "timeout":
        return TIMEOUT, f"took longer than timeout_s={limits.seconds:g}; ended"
    if ended.limit == "memory":
        peak = ended.peak_bytes >> 20
        most = limits.bytes >> 20
        return MEMORY, f"took {peak} MiB, more than memory_mib={most}; ended"
    if ended.code == DONE:
        return OK, None
    last = _last_words(folder / "stderr")
    if ended.code < 0:
        ending = signal.Signals(-ended.code)
        return KILLED, f"ended by {ending.name}{last}"
    if ended.code == WRONG_USE:
        return REFUSED, last.removeprefix(": ") or "refused"
    return FAILED, f"exit code {ended.code}{last}"


def _last_words(path: Path) -> str:
    """The last line of the standard error, behind a colon."""
    with suppress(OSError):
        text = path.read_text("utf-8", errors="replace").strip()
        last = text.split("\n")[-1].strip()
        if last:
            return f": {last[:_MOST_WORDS]}"
    return ""


def _told(folder: Path) -> dict[str, Any]:
    """The JSON object that the command printed last."""
    with suppress(OSError, ValueError, IndexError):
        text = (folder / "stdout").read_text("utf-8")
        last = text.strip().splitlines()[-1]
        found = json.loads(last)
        if isinstance(found, dict):
            return found
    return {}


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_size
    return None


def rates(tally: Any, rows: int, law: ClosedForm | None) -> Rates:
    """Counts, error rates and how far they are off the closed form, in standard deviations."""
    found: Rates = {"rows": rows}
    for basis in ("z", "x"):
        errors = getattr(tally, f"errors_{basis}")
        sifted = getattr(tally, f"sifted_{basis}")
        found[f"errors_{basis}"] = errors
        found[f"sifted_{basis}"] = sifted
        if law is not None:
            share = getattr(law, f"sifted_{basis}")
            found[f"expected_qber_{basis}"] = getattr(law, f"qber_{basis}")
            found[f"expected_sifted_{basis}"] = None if math.isnan(share) else share
    return scored(found)


def scored(found: Rates) -> Rates:
    """The counts with error rates and z-scores."""
    for basis in ("z", "x"):
        errors = found[f"errors_{basis}"]
        sifted = found[f"sifted_{basis}"]
        found[f"qber_{basis}"] = errors / sifted if sifted else None
        rate = found.get(f"expected_qber_{basis}")
        share = found.get(f"expected_sifted_{basis}")
        found[f"sigma_qber_{basis}"] = _score(errors, sifted, rate)
        found[f"sigma_sifted_{basis}"] = _score(sifted, found["rows"], share)
    return found


def added(records: list[Record]) -> Rates | None:
    """The rates of several runs together, whose seeds differ."""
    known = [record["rates"] for record in records if record["rates"]]
    if not known:
        return None
    total = dict(known[0])
    counts = ("rows", "errors_z", "sifted_z", "errors_x", "sifted_x")
    for name in counts:
        total[name] = sum(rate[name] for rate in known)
    return scored(total)


def _score(hits: int, trials: int, probability: float | None) -> float | None:
    """Within ±1e6, which JSON can hold; None where nothing was expected."""
    if probability is None:
        return None
    score = z_score(hits, trials, probability)
    return max(-1e6, min(1e6, score))


def verdict(found: Rates | None) -> Verdict:
    """Whether the rates are those of the closed form."""
    if found is None:
        return OK, None
    for basis in ("z", "x"):
        if _is_far(found[f"sigma_qber_{basis}"]):
            return WRONG, _wrong_qber(found, basis)
        if _is_far(found[f"sigma_sifted_{basis}"]):
            return WRONG, _wrong_sifting(found, basis)
    return OK, None


def _wrong_qber(found: Rates, basis: str) -> str:
    name = basis.upper()
    seen = 100 * (found[f"qber_{basis}"] or 0.0)
    true = 100 * found[f"expected_qber_{basis}"]
    sigma = found[f"sigma_qber_{basis}"]
    return f"QBER in {name} is {seen:.3f} %, by the closed form {true:.3f} % ({sigma:+.1f} σ)"


def _wrong_sifting(found: Rates, basis: str) -> str:
    name = basis.upper()
    rows = found["rows"]
    kept = found[f"sifted_{basis}"] / rows if rows else 0.0
    expected = 100 * found[f"expected_sifted_{basis}"]
    sigma = found[f"sigma_sifted_{basis}"]
    return (
        f"both chose {name} in {100 * kept:.2f} % of the rows, "
        f"by the closed form in {expected:.2f} % ({sigma:+.1f} σ)"
    )


def _is_far(sigma: float | None) -> bool:
    """Whether a z-score, None where nothing was expected, speaks against the closed form."""
    return sigma is not None and abs(sigma) > MOST_SIGMA
