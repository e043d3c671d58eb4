"""What a person reads on the terminal, and the same as plain values for ``--json``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import RunConfig, dump_config
from ..engines.link import Expected
from ..machine.wording import counted, duration, percent, percent_of, quantity, rate, so_far
from ..pairs import Tally
from ..runs.forecast import Forecast
from ..runs.generate import Summary
from ..runs.sequential import Sequential
from ..store import LABEL, Status
from .show_ranks import rank_lines, ranks_list
from .show_until import until_dict, until_forecast, until_lines


def qber_sigma(errors: int, sifted: int, expected: float) -> float | None:
    """How many standard deviations a measured QBER is off its closed form.

    Returns None where that says nothing: without a closed form, or where no error can vary.

    >>> qber_sigma(60, 1000, 0.05), qber_sigma(60, 1000, float("nan"))
    (1.45, None)
    """
    if math.isnan(expected):  # a heralded link, of which no closed form is known
        return None
    mean = sifted * expected
    spread = (mean * (1 - expected)) ** 0.5
    if not spread:
        return None
    sigma: float = (errors - mean) / spread
    return round(sigma, 2)


def summary_text(summary: Summary) -> str:
    """The last words of ``generate``: state, QBERs beside their closed forms, digest."""
    status = summary.status
    if status.complete:
        state = "complete"
        last = f"  data digest {status.data_digest}"
    else:
        state = f"stopped; {so_far(status.chunks_done, status.chunks_total, 'chunk')}"
        last = "  run the same command again to go on"
    pairs = counted(status.pairs_done, "pair")
    rows = counted(status.rows, "row")
    head = f"{status.path}: {state}, {pairs} simulated, {rows}"
    if status.info.is_law:
        head = f"{status.path}: {state}, {LABEL}: counts of {pairs}, {rows}"
    elif summary.launched:
        speed = summary.launched / max(summary.seconds, 1e-9)
        head += f"; {duration(summary.seconds)}, {rate(speed)}"
    lines = [
        head,
        *_qber_lines(status.tally, summary.expected),
        *_time_lines(status, summary.expected),
        *until_lines(status),
        last,
    ]
    return "\n".join(lines)


def _time_lines(status: Status, expected: Expected) -> Iterator[str]:
    """The simulated time beside its closed form, where rows have times."""
    requests = _requests(status, expected.hold)
    if math.isnan(expected.request_ns) or not requests:
        return
    seconds = status.duration_ns / 1e9
    each = status.duration_ns / requests / expected.hold
    theory = expected.request_ns / expected.hold
    words = f"closed form {theory:.6g} ns"
    sigma = time_sigma(status, expected)
    if sigma is not None:
        words += f", {sigma:+.2f} σ"
    yield f"  time: {seconds:.6g} s simulated, {each:.6g} ns for each pair ({words})"


def time_sigma(status: Status, expected: Expected) -> float | None:
    """How many standard deviations the simulated time is off its closed form.

    Returns None where that says nothing: without a closed form, or where times cannot vary.
    """
    requests = _requests(status, expected.hold)
    spread = (requests * expected.request_variance_ns2) ** 0.5
    if not spread > 0:
        return None
    off = status.duration_ns - requests * expected.request_ns
    return round(float(off / spread), 2)


def _requests(status: Status, hold: int) -> int:
    """How many requests the chunks that are there took; each chunk begins with a new one."""
    size = status.info.chunk_size
    whole, last = divmod(status.pairs_done, size)
    requests_per_chunk = -(-size // hold)
    requests_of_last = -(-last // hold)
    return whole * requests_per_chunk + requests_of_last


def _qber_lines(tally: Tally, expected: Expected) -> Iterator[str]:
    """For each basis, the measured QBER beside its closed form."""
    for basis, sifted, errors, closed_form in _bases(tally, expected):
        measured = "no QBER"
        if sifted:
            measured = f"QBER {percent_of(errors, sifted)}"
        wrong = counted(errors, "error")
        theory = _theory(errors, sifted, closed_form)
        yield f"  {basis}: {sifted:,} sifted, {wrong}, {measured} ({theory})"


def _theory(errors: int, sifted: int, closed_form: float) -> str:
    """The closed form of a QBER, and how far off it the measured one is."""
    if math.isnan(closed_form):
        return "no closed form"
    words = f"closed form {percent(closed_form)}"
    sigma = qber_sigma(errors, sifted, closed_form)
    if sigma is None or not sifted:
        return words
    return f"{words}, {sigma:+.2f} σ"


def _bases(tally: Tally, expected: Expected) -> Iterator[tuple[str, int, int, float]]:
    """For each basis, sifted pairs, errors, and the QBER's closed form."""
    yield "Z", tally.sifted_z, tally.errors_z, expected.qber_z
    yield "X", tally.sifted_x, tally.errors_x, expected.qber_x


def summary_dict(summary: Summary) -> dict[str, Any]:
    """What ``generate --json`` prints."""
    out = status_dict(summary.status)
    for basis, sifted, errors, closed_form in _bases(summary.status.tally, summary.expected):
        key = basis.lower()
        out[f"expected_qber_{key}"] = _number(closed_form)
        out[f"sigma_{key}"] = qber_sigma(errors, sifted, closed_form)
    if not math.isnan(summary.expected.request_ns):
        out |= _times_dict(summary.expected)
        out["duration_ns"] = summary.status.duration_ns
        out["sigma_time"] = time_sigma(summary.status, summary.expected)
    return {
        **out,
        "launched": summary.launched,
        "seconds": summary.seconds,
        "messages": list(summary.messages),
    }


def status_dict(status: Status) -> dict[str, Any]:
    """What ``status --json`` prints."""
    tally = status.tally
    return {
        "path": str(status.path),
        "complete": status.complete,
        "pairs": status.pairs,
        "pairs_done": status.pairs_done,
        "rows": status.rows,
        "chunks": status.chunks_total,
        "chunks_done": status.chunks_done,
        "sifted_z": tally.sifted_z,
        "errors_z": tally.errors_z,
        "qber_z": _ratio(tally.errors_z, tally.sifted_z),
        "sifted_x": tally.sifted_x,
        "errors_x": tally.errors_x,
        "qber_x": _ratio(tally.errors_x, tally.sifted_x),
        "alice_clicks": status.alice_clicks,
        "bob_clicks": status.bob_clicks,
        "keep": status.info.keep,
        **_kept_dict(status),
        "engine": status.engine,
        "seed": status.seed,
        "config_digest": status.digest,
        "data_digest": status.data_digest,
        "launches": len(status.runs),
        "faults": len(status.faults),
        "ranks": ranks_list(status.metrics),
        "until": until_dict(status),
        "last_commit": status.last_commit,
        "owner": status.owner,
    }


def _kept_dict(status: Status) -> dict[str, Any]:
    """What the file would weigh with all of its bits, or the counts that it has instead."""
    if status.info.is_law:
        return {"label": LABEL, "outcome_counts": list(status.info.outcome_counts)}
    return {"full_bytes": status.full_bytes}


def status_text(status: Status) -> str:
    """What ``status`` prints."""
    state = _state(status)
    config = status.digest[:16]
    lines = [
        f"{status.path}: {state}",
        *_progress_lines(status),
        f"  engine {status.engine}, seed {status.seed}, config {config}",
        _launches_line(status),
    ]
    if status.info.is_law:
        lines.append(f"  {LABEL}: counts drawn from their law, there are no pairs")
    elif not status.info.has_columns:
        full = _bytes(status.full_bytes)
        lines.append(f"  keeps records only; with its bits it would take {full}")
    lines += rank_lines(status.metrics, status.runs)
    lines += until_lines(status)
    if status.complete:
        lines.append(f"  data digest {status.data_digest}")
    return "\n".join(lines)


def _progress_lines(status: Status) -> Iterator[str]:
    """How much is in, and what was measured in it."""
    done = 100 * status.pairs_done / status.pairs
    of_pairs = counted(status.pairs, "pair")
    pairs = f"{status.pairs_done:,} of {of_pairs} ({done:.1f} %)"
    rows = counted(status.rows, "row")
    of_chunks = counted(status.chunks_total, "chunk")
    chunks = f"{status.chunks_done:,} of {of_chunks}"
    yield f"  {pairs}, {rows}, {chunks}"
    tally = status.tally
    in_z = _measured(tally.sifted_z, tally.errors_z)
    in_x = _measured(tally.sifted_x, tally.errors_x)
    yield f"  Z: {in_z}"
    yield f"  X: {in_x}"


def _launches_line(status: Status) -> str:
    launches = counted(len(status.runs), "launch", "launches")
    faults = counted(len(status.faults), "fault")
    age = max(0.0, time.time() - status.last_commit)
    return f"  {launches}, {faults}, last commit {duration(age)} ago"


def _bytes(size: int) -> str:
    return f"{quantity(size)}B"


def _state(status: Status) -> str:
    if status.complete:
        return "complete"
    if status.owner:
        return f"being written by {status.owner}"
    return "stopped"


def _measured(sifted: int, errors: int) -> str:
    """Sifted pairs and errors of a basis, and their QBER if there is one."""
    words = f"{sifted:,} sifted, {counted(errors, 'error')}"
    if not sifted:
        return words
    return f"{words}, QBER {percent_of(errors, sifted)}"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _number(value: float) -> float | None:
    """The value for JSON, which has no NaN: None then."""
    return None if math.isnan(value) else value


def record_text(record: Mapping[str, float]) -> str:
    """What ``generate --only-chunk`` prints: a name and a value per line, the checksum in hex."""
    lines = []
    for name, value in record.items():
        form = "x" if name == "checksum" else ""
        lines.append(f"{name:<13} {value:{form}}")
    return "\n".join(lines)


def sequential_dict(outcome: Sequential) -> dict[str, Any]:
    """What ``sequential --json`` prints."""
    return {
        **status_dict(outcome.status),
        "tested": outcome.tested,
        "test_errors": outcome.errors,
        "test_qber": _ratio(outcome.errors, outcome.tested),
        "abort": outcome.abort,
        "messages": outcome.messages,
        "duration_ns": outcome.duration_ns,
    }


def sequential_text(outcome: Sequential) -> str:
    """What ``sequential`` prints."""
    rows = counted(outcome.tested, "row")
    errors = counted(outcome.errors, "error")
    test = f"{rows}, {errors}"
    if outcome.tested:
        test += f", QBER {percent_of(outcome.errors, outcome.tested)}"
    verdict = "Alice and Bob go on"
    if outcome.abort:
        verdict = f"aborted: {outcome.abort}"
    messages = counted(outcome.messages, "message")
    lines = [
        status_text(outcome.status),
        f"  {messages} in {outcome.duration_ns:.6g} ns of simulated time",
        f"  test: {test}; {verdict}",
    ]
    return "\n".join(lines)


def forecast_dict(config: RunConfig, plan: Forecast) -> dict[str, Any]:
    """What ``validate --json`` prints."""
    expected = plan.expected
    out = {
        "config": config.resolved(),
        "pairs": plan.pairs,
        "rows": plan.rows,
        "chunks": plan.chunks,
        "file_bytes": plan.file_bytes,
        "full_bytes": plan.full_bytes,
        "rank_bytes": plan.rank_bytes,
        "seconds_on_one_rank": plan.seconds,
        "qber_z": _number(expected.qber_z),
        "qber_x": _number(expected.qber_x),
        "coincidence": expected.coincidence,
    }
    if not math.isnan(expected.request_ns):
        out |= _times_dict(expected)
    return out


def _times_dict(expected: Expected) -> dict[str, Any]:
    """Closed forms of times, in ns and rows per second of simulated time."""
    return {
        "hold": expected.hold,
        "expected_request_ns": expected.request_ns,
        "expected_request_variance_ns2": expected.request_variance_ns2,
        "expected_rows_per_second": _row_rate(expected),
    }


def _row_rate(expected: Expected) -> float:
    """Rows per second of simulated time."""
    return expected.coincidence * expected.hold * 1e9 / expected.request_ns


def forecast_text(config: RunConfig, plan: Forecast) -> str:
    """What ``validate`` prints: the resolved configuration as YAML, then comments."""
    rows = counted(round(plan.rows), "row")
    qber_z = percent(plan.expected.qber_z)
    qber_x = percent(plan.expected.qber_x)
    lines = [
        dump_config(config).rstrip(),
        *until_forecast(config, plan),
        f"# expected: {rows}, QBER_Z {qber_z}, QBER_X {qber_x}",
        *_forecast_of_times(plan.expected),
        *_forecast_of_size(config, plan),
    ]
    return "\n".join(lines)


def _forecast_of_size(config: RunConfig, plan: Forecast) -> Iterator[str]:
    """What the file will weigh, and what it takes to make it."""
    full = _bytes(plan.full_bytes)
    if config.output.keep == "counts":
        without = f"the file with its bits would take {full}"
        yield f"# {LABEL}: counts drawn from their law, in no time; {without}"
        return
    size = f"{_bytes(plan.file_bytes)} in {counted(plan.chunks, 'chunk')}"
    if config.output.keep == "records":
        size += f", records only; with its bits {full}"
    memory = f"each rank holds a few chunks of {_bytes(plan.rank_bytes)}"
    spent = f"about {duration(plan.seconds)} on one rank of this machine, less with more"
    yield f"# file: {size}; {memory}"
    yield f"# time: {spent}"


def _forecast_of_times(expected: Expected) -> Iterator[str]:
    """What rows with times will be like."""
    if math.isnan(expected.request_ns):
        return
    spread = expected.request_variance_ns2**0.5
    one = "a pair takes" if expected.hold == 1 else f"{expected.hold} pairs take"
    each = f"{expected.request_ns:.6g} ns (standard deviation {spread:.6g} ns)"
    per_second = f"{_row_rate(expected):.6g} rows per second of simulated time"
    yield f"# times: {one} {each}, {per_second}"
