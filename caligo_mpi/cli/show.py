"""What a person reads on the terminal, and the same as plain values for ``--json``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import RunConfig, dump_config
from ..engines.link import Expected
from ..pairs import Tally
from ..runs.forecast import Forecast
from ..runs.generate import Summary
from ..runs.sequential import Sequential
from ..store import Status, Verification
from ..terminal.wording import counted, duration, quantity, rate


def qber_sigma(errors: int, sifted: int, expected: float) -> float | None:
    """How many standard deviations a measured QBER is off its closed form; None where that says nothing.

    >>> qber_sigma(60, 1000, 0.05), qber_sigma(60, 1000, float("nan"))
    (1.45, None)
    """
    if math.isnan(expected):  # a heralded link, of which no closed form is known
        return None
    spread = (sifted * expected * (1 - expected)) ** 0.5
    return round((errors - sifted * expected) / spread, 2) if spread else None


def summary_text(summary: Summary) -> str:
    """The last words of ``generate``."""
    status = summary.status
    state = (
        "complete"
        if status.complete
        else f"stopped; {status.chunks_done} of {counted(status.chunks_total, 'chunk')} are in"
    )
    head = f"{status.path}: {state}, {counted(status.pairs_done, 'pair')} simulated, {counted(status.rows, 'row')}"
    if summary.launched:
        speed = rate(summary.launched / max(summary.seconds, 1e-9))
        head += f"; {duration(summary.seconds)}, {speed}"
    lines = [head, *_qber_lines(status.tally, summary.expected)]
    lines.append(
        f"  data digest {status.data_digest}"
        if status.complete
        else "  run the same command again to go on"
    )
    return "\n".join(lines)


def _qber_lines(tally: Tally, expected: Expected) -> Iterator[str]:
    for basis, sifted, errors, closed_form in _bases(tally, expected):
        measured = f"QBER {100 * errors / sifted:.4f} %" if sifted else "no QBER"
        sigma = qber_sigma(errors, sifted, closed_form)
        off = "" if sigma is None or not sifted else f", {sigma:+.2f} σ"
        theory = (
            "no closed form"
            if math.isnan(closed_form)
            else f"closed form {100 * closed_form:.4f} %{off}"
        )
        yield f"  {basis}: {sifted:,} sifted, {counted(errors, 'error')}, {measured} ({theory})"


def _bases(tally: Tally, expected: Expected) -> Iterator[tuple[str, int, int, float]]:
    yield "Z", tally.sifted_z, tally.errors_z, expected.qber_z
    yield "X", tally.sifted_x, tally.errors_x, expected.qber_x


def summary_dict(summary: Summary) -> dict[str, Any]:
    """The same for machines."""
    out = status_dict(summary.status)
    for basis, sifted, errors, closed_form in _bases(summary.status.tally, summary.expected):
        key = basis.lower()
        out[f"expected_qber_{key}"] = None if math.isnan(closed_form) else closed_form
        out[f"sigma_{key}"] = qber_sigma(errors, sifted, closed_form)
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
        "qber_z": tally.errors_z / tally.sifted_z if tally.sifted_z else None,
        "sifted_x": tally.sifted_x,
        "errors_x": tally.errors_x,
        "qber_x": tally.errors_x / tally.sifted_x if tally.sifted_x else None,
        "alice_clicks": status.alice_clicks,
        "bob_clicks": status.bob_clicks,
        "engine": status.engine,
        "seed": status.seed,
        "config_digest": status.digest,
        "data_digest": status.data_digest,
        "launches": len(status.runs),
        "faults": len(status.faults),
        "last_commit": status.last_commit,
        "owner": status.owner,
    }


def status_text(status: Status) -> str:
    """What ``status`` prints."""
    percent = 100 * status.pairs_done / status.pairs
    state = (
        "complete"
        if status.complete
        else f"being written by {status.owner}"
        if status.owner
        else "stopped"
    )
    tally, age = status.tally, duration(max(0.0, time.time() - status.last_commit))
    lines = [
        f"{status.path}: {state}",
        f"  {status.pairs_done:,} of {counted(status.pairs, 'pair')} ({percent:.1f} %), {counted(status.rows, 'row')}, "
        f"{status.chunks_done:,} of {counted(status.chunks_total, 'chunk')}",
        *(
            f"  {basis}: {sifted:,} sifted, {counted(errors, 'error')}"
            + (f", QBER {100 * errors / sifted:.4f} %" if sifted else "")
            for basis, sifted, errors in (
                ("Z", tally.sifted_z, tally.errors_z),
                ("X", tally.sifted_x, tally.errors_x),
            )
        ),
        f"  engine {status.engine}, seed {status.seed}, config {status.digest[:16]}",
        f"  {counted(len(status.runs), 'launch', 'launches')}, "
        f"{counted(len(status.faults), 'fault')}, last commit {age} ago",
    ]
    return "\n".join(lines + ([f"  data digest {status.data_digest}"] if status.complete else []))


def record_text(record: Mapping[str, float]) -> str:
    """What ``generate --only-chunk`` prints."""
    return "\n".join(
        f"{name:<13} {value:{'x' if name == 'checksum' else ''}}" for name, value in record.items()
    )


def sequential_dict(outcome: Sequential) -> dict[str, Any]:
    """What ``sequential --json`` prints."""
    return {
        **status_dict(outcome.status),
        "tested": outcome.tested,
        "test_errors": outcome.errors,
        "test_qber": outcome.errors / outcome.tested if outcome.tested else None,
        "abort": outcome.abort,
        "messages": outcome.messages,
        "duration_ns": outcome.duration_ns,
    }


def sequential_text(outcome: Sequential) -> str:
    """What ``sequential`` prints."""
    verdict = f"aborted: {outcome.abort}" if outcome.abort else "Alice and Bob go on"
    rate = f", QBER {100 * outcome.errors / outcome.tested:.4f} %" if outcome.tested else ""
    return "\n".join(
        [
            status_text(outcome.status),
            f"  {outcome.messages} messages in {outcome.duration_ns:.6g} ns of simulated time",
            f"  test: {counted(outcome.tested, 'row')}, {counted(outcome.errors, 'error')}{rate}; {verdict}",
        ]
    )


def forecast_dict(config: RunConfig, plan: Forecast) -> dict[str, Any]:
    """What ``validate --json`` prints."""
    return {
        "config": config.resolved(),
        "rows": plan.rows,
        "chunks": plan.chunks,
        "file_bytes": plan.file_bytes,
        "rank_bytes": plan.rank_bytes,
        "seconds_on_one_rank": plan.seconds,
        "qber_z": None if math.isnan(plan.expected.qber_z) else plan.expected.qber_z,
        "qber_x": None if math.isnan(plan.expected.qber_x) else plan.expected.qber_x,
        "coincidence": plan.expected.coincidence,
    }


def forecast_text(config: RunConfig, plan: Forecast) -> str:
    """What ``validate`` prints: the resolved configuration as YAML, then comments."""
    return "\n".join(
        [
            dump_config(config).rstrip(),
            f"# expected: {plan.rows:,.0f} rows, QBER_Z {100 * plan.expected.qber_z:.4f} %, "
            f"QBER_X {100 * plan.expected.qber_x:.4f} %",
            f"# file: {quantity(plan.file_bytes)}B in {counted(plan.chunks, 'chunk')}; "
            f"each rank holds a few chunks of {quantity(plan.rank_bytes)}B",
            f"# time: about {duration(plan.seconds)} on one rank of this machine, less with more",
        ]
    )


def verification_dict(found: Verification) -> dict[str, Any]:
    """What ``verify --json`` prints."""
    return {
        "path": str(found.path),
        "ok": found.ok,
        "complete": found.complete,
        "chunks": found.chunks,
        "damaged_records": list(found.records),
        "damaged_data": list(found.data),
        "digest_fits": found.digest_fits,
        "provenance_fits": found.provenance_fits,
        "layout_is_ours": not found.moved,
        "resampled": list(found.resampled),
        "differing": list(found.differing),
    }


def verification_text(found: Verification) -> str:
    """What ``verify`` prints."""
    kind = "complete file" if found.complete else "partial file"
    lines = [
        f"{found.path}: {kind}, {counted(found.chunks, 'chunk')}, {'all is well' if found.ok else 'DAMAGED'}"
    ]
    for name, chunks in (
        ("damaged records", found.records),
        ("damaged data", found.data),
        ("simulated again", found.resampled),
        ("came out otherwise when simulated again", found.differing),
    ):
        if chunks:
            listed = ", ".join(map(str, chunks[:20])) + (", …" if len(chunks) > 20 else "")
            lines.append(f"  {name}: {len(chunks)} ({listed})")
    if found.digest_fits is False:
        lines.append("  the data digest does not fit the chunk checksums")
    if found.provenance_fits is False:
        lines.append(
            "  provenance was changed: attributes, /runs or /faults are not as they were written"
        )
    if found.moved:
        lines.append(
            "  the layout is not ours: another tool rewrote the file, whose contents are the same"
        )
    return "\n".join(lines)


def engines_text(engines: dict[str, str | None]) -> str:
    """What ``engines`` prints: a name and what is missing, if anything is."""
    width = max(map(len, engines))
    return "\n".join(f"{name:<{width}}  {missing or 'usable'}" for name, missing in engines.items())
