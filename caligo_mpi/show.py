"""What a person reads on the terminal, and the same as plain values for ``--json``."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from . import environment, streams
from .config import RunConfig, dump_config
from .distill import Distilled
from .generate import Forecast, Progress, Summary
from .link import Expected
from .pairs import Tally
from .protocol.estimate import efficiency
from .sequential import Sequential
from .store import Status, Verification
from .store.keys import Keys, KeysInfo, KeysStatus, KeysVerification

#: Seconds between two lines of progress where there is no terminal.
LINE_SECONDS = 5.0

#: Given to rich, which would take any number from the environment.
_BAR_LINES = 25

Report = Callable[[Progress], None]


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[Report]:
    """A bar on a terminal, else a plain line every few seconds; nothing if ``quiet``."""
    columns = environment.count(environment.TERMINAL, 0)
    if quiet:
        yield lambda progress: None
    elif columns or sys.stderr.isatty():
        with _bar(streams.bounded(columns) if columns else streams.width()) as report:
            yield report
    else:
        yield _lines()


@contextlib.contextmanager
def _bar(columns: int) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    # Under our launcher the standard error is a pipe that ends at a terminal.
    console = Console(stderr=True, force_terminal=True, width=columns, height=_BAR_LINES)
    texts = TextColumn("{task.percentage:5.1f} %"), TextColumn("{task.fields[rate]}"), TimeRemainingColumn()
    with Bar(BarColumn(bar_width=None), *texts, console=console, refresh_per_second=5) as bar:
        task = bar.add_task("", total=None, rate="")

        def report(progress: Progress) -> None:
            bar.update(task, completed=progress.pairs, total=progress.total, rate=_rate(progress))

        yield report


def _lines() -> Report:
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            left = (progress.total - progress.pairs) / progress.launched * progress.seconds
            streams.note(
                f"{progress.pairs:,} of {progress.total:,} pairs ({100 * progress.pairs / progress.total:.1f} %), "
                f"{_rate(progress)}, {duration(left)} left"
            )

    return report


def _rate(progress: Progress) -> str:
    return f"{quantity(progress.launched / max(progress.seconds, 1e-9))} pairs/s"


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────


def quantity(value: float) -> str:
    """A number with a metric prefix.

    >>> quantity(1234567), quantity(12)
    ('1.23 M', '12 ')
    """
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(0.5), duration(75), duration(9000), duration(200000)
    ('0.5 s', '75 s', '150 min', '55.6 h')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 10800 else f"{seconds / 3600:.3g} h"


def qber_sigma(errors: int, sifted: int, expected: float) -> float | None:
    """How many standard deviations a measured QBER is off its closed form; None where that says nothing.

    >>> qber_sigma(60, 1000, 0.05), qber_sigma(60, 1000, float("nan"))
    (1.45, None)
    """
    if math.isnan(expected):  # a heralded link, of which no closed form is known
        return None
    spread = (sifted * expected * (1 - expected)) ** 0.5
    return round((errors - sifted * expected) / spread, 2) if spread else None


# ── summaries ────────────────────────────────────────────────────────────────────────────────────────────────


def summary_text(summary: Summary) -> str:
    """The last words of ``generate``."""
    status = summary.status
    state = "complete" if status.complete else f"stopped; {status.chunks_done} of {status.chunks_total} chunks are in"
    head = f"{status.path}: {state}, {status.pairs_done:,} pairs simulated, {status.rows:,} rows"
    if summary.launched:
        rate = quantity(summary.launched / max(summary.seconds, 1e-9))
        head += f"; {duration(summary.seconds)}, {rate} pairs/s"
    lines = [head, *_qber_lines(status.tally, summary.expected)]
    lines.append(f"  data digest {status.data_digest}" if status.complete else "  run the same command again to go on")
    return "\n".join(lines)


def _qber_lines(tally: Tally, expected: Expected) -> Iterator[str]:
    for basis, sifted, errors, closed_form in _bases(tally, expected):
        measured = f"QBER {100 * errors / sifted:.4f} %" if sifted else "no QBER"
        sigma = qber_sigma(errors, sifted, closed_form)
        off = "" if sigma is None or not sifted else f", {sigma:+.2f} σ"
        theory = "no closed form" if math.isnan(closed_form) else f"closed form {100 * closed_form:.4f} %{off}"
        yield f"  {basis}: {sifted:,} sifted, {errors:,} errors, {measured} ({theory})"


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
    return {**out, "launched": summary.launched, "seconds": summary.seconds, "messages": list(summary.messages)}


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
    state = "complete" if status.complete else f"being written by {status.owner}" if status.owner else "stopped"
    tally, age = status.tally, duration(max(0.0, time.time() - status.last_commit))
    lines = [
        f"{status.path}: {state}",
        f"  {status.pairs_done:,} of {status.pairs:,} pairs ({percent:.1f} %), {status.rows:,} rows, "
        f"{status.chunks_done:,} of {status.chunks_total:,} chunks",
        *(
            f"  {basis}: {sifted:,} sifted, {errors:,} errors"
            + (f", QBER {100 * errors / sifted:.4f} %" if sifted else "")
            for basis, sifted, errors in (
                ("Z", tally.sifted_z, tally.errors_z),
                ("X", tally.sifted_x, tally.errors_x),
            )
        ),
        f"  engine {status.engine}, seed {status.seed}, config {status.digest[:16]}",
        f"  {len(status.runs)} launches, {len(status.faults)} faults, last commit {age} ago",
    ]
    return "\n".join(lines + ([f"  data digest {status.data_digest}"] if status.complete else []))


def record_text(record: Mapping[str, float]) -> str:
    """What ``generate --only-chunk`` prints."""
    return "\n".join(f"{name:<13} {value:{'x' if name == 'checksum' else ''}}" for name, value in record.items())


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
            f"  test: {outcome.tested:,} rows, {outcome.errors:,} errors{rate}; {verdict}",
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
            f"# file: {quantity(plan.file_bytes)}B in {plan.chunks:,} chunks; "
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
    lines = [f"{found.path}: {kind}, {found.chunks:,} chunks, {'all is well' if found.ok else 'DAMAGED'}"]
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
        lines.append("  provenance was changed: attributes, /runs or /faults are not as they were written")
    if found.moved:
        lines.append("  the layout is not ours: another tool rewrote the file, whose contents are the same")
    return "\n".join(lines)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────


def distilled_text(done: Distilled) -> str:
    """The last words of ``distill``."""
    state = "complete" if done.keys else f"stopped; {done.blocks_done} of {done.info.blocks} blocks are in"
    head = f"{done.path}: {state}, {done.info.mode}, {done.info.rows:,} pairs in {counted(done.info.blocks, 'block')}"
    if done.launched:
        head += f"; {duration(done.seconds)}, {quantity(done.launched / max(done.seconds, 1e-9))} pairs/s"
    return "\n".join([head, *(_key_lines(done.keys) if done.keys else ["  run the same command again to go on"])])


def distilled_dict(done: Distilled) -> dict[str, Any]:
    """The same for machines."""
    out = {"path": str(done.path), **_keys_dict(done.info, done.keys, done.blocks_done)}
    return {**out, "launched": done.launched, "seconds": done.seconds, "messages": list(done.messages)}


def keys_status_text(status: KeysStatus) -> str:
    """What ``status`` prints of a keys file."""
    state = "complete" if status.keys else f"being written by {status.owner}" if status.owner else "stopped"
    info = status.info
    lines = [
        f"{status.path}: {state}, {info.mode} on {info.source}",
        f"  {status.blocks_done:,} of {counted(info.blocks, 'block')}, {info.rows:,} pairs, seed {info.seed}, "
        f"config {info.config_digest[:16]}",
    ]
    return "\n".join(lines + (_key_lines(status.keys) if status.keys else []))


def keys_status_dict(status: KeysStatus) -> dict[str, Any]:
    """What ``status --json`` prints of a keys file."""
    out = {"path": str(status.path), **_keys_dict(status.info, status.keys, status.blocks_done)}
    return {**out, "owner": status.owner}


def keys_verification_text(found: KeysVerification) -> str:
    """What ``verify`` prints of a keys file."""
    kind = "complete keys file" if found.complete else "partial keys file"
    lines = [f"{found.path}: {kind}, {counted(found.blocks, 'block')}, {'all is well' if found.ok else 'DAMAGED'}"]
    for fits, sentence in (
        (found.checksum_fits, "the checksum does not fit the contents"),
        (found.digest_fits, "the keys digest does not fit the keys"),
        (found.agree, "Bob does not have the key that he should"),
    ):
        if fits is False:
            lines.append(f"  {sentence}")
    if found.torn:
        lines.append(f"  {found.torn} bytes behind the last whole block; distilling again drops them")
    return "\n".join(lines)


def keys_verification_dict(found: KeysVerification) -> dict[str, Any]:
    """What ``verify --json`` prints of a keys file."""
    return {
        "path": str(found.path),
        "ok": found.ok,
        "complete": found.complete,
        "blocks": found.blocks,
        "checksum_fits": found.checksum_fits,
        "digest_fits": found.digest_fits,
        "keys_agree": found.agree,
        "torn_bytes": found.torn,
    }


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "block"), counted(2000, "rank")
    ('1 block', '2,000 ranks')
    """
    return f"{number:,} {noun}" + "s" * (number != 1)


def _key_lines(keys: Keys) -> list[str]:
    blocks = keys.blocks
    sifted, tested, errors = (int(blocks[name].sum()) for name in ("sifted", "tested", "errors"))
    lines = [f"  {sifted:,} sifted; {tested:,} tested, {errors:,} errors" + _percent(", QBER", errors, tested)]
    told = "; ".join(
        f"{basis}: {part:,} of {whole:,}" + _percent(",", part, whole) for basis, part, whole in _disclosed(keys)
    )
    if told:
        lines.append(f"  errors in disclosed bits: {told}")
    if (found := _efficiency(keys)) is not None:
        mean, least, most, frames = found
        lines.append(f"  reconciliation f = {mean:.4f} ({least:.4f} to {most:.4f} in {counted(frames, 'frame')})")
    quality = keys.info.security.get("preparation_quality", 1)
    if quality != 1:
        lines.append(f"  preparation quality {quality:.4f} bits per key bit: Alice's read-out favors a bit")
    if keys.key_bits:
        lines.append(
            f"  key: {keys.key_bits:,} bits" + _whose(keys) + _percent(";", keys.key_bits, sifted, " of sifted")
        )
        lines += _rate_lines(keys)
    else:
        lines.append("  key: none")
    for (step, reason), rows in _aborts(keys).items():
        numbers = ", ".join(f"{name}={value:.6g}" for name, value in json.loads(rows[0]["abort_numbers"]).items())
        where = f"{counted(len(rows), 'block')} from block {rows[0]['index']} on"
        lines.append(f"  aborted, {where}: {step}: {reason} ({numbers})")
    return [*lines, f"  keys digest {keys.digest}"]


def _disclosed(keys: Keys) -> Iterator[tuple[str, int, int]]:
    """Basis, errors, bits of all that was told; nothing from older files."""
    for basis in "ZX":
        wrong, whole = f"errors_{basis.lower()}", f"tested_{basis.lower()}"
        if wrong in (keys.blocks.dtype.names or ()):
            yield basis, int(keys.blocks[wrong].sum()), int(keys.blocks[whole].sum())


def _efficiency(keys: Keys) -> tuple[float, float, float, int] | None:
    """Mean f (all that was told, by the entropy of all errors), least, most, and of how many frames."""
    frames = keys.frames
    if frames is None or not len(frames := frames[np.isfinite(frames["efficiency"])]):
        return None
    total = (np.array([float(frames[name].sum())]) for name in ("leak_bits", "bits", "corrected"))
    of_frames = frames["efficiency"]
    return float(efficiency(*total)[0]), float(of_frames.min()), float(of_frames.max()), len(frames)


def _rate_lines(keys: Keys) -> Iterator[str]:
    if keys.per_emission is not None:
        simulated = f"; {quantity(keys.per_second)}bit/s of simulated time" if keys.per_second is not None else ""
        yield f"  secret bits per emission: {keys.per_emission:.4g}{simulated}"


def _percent(before: str, part: int, whole: int, after: str = "") -> str:
    return f"{before} {100 * part / whole:.4f} %{after}" if whole else ""


def _whose(keys: Keys) -> str:
    if keys.choice is None:
        return ", Alice's and Bob's are " + ("equal" if keys.agree else "DIFFERENT")
    got = "" if keys.hidden["decoded"].all() else ", but decoding failed: his are random bits"
    return f" in each of Alice's strings; Bob has number {keys.choice}{got}"


def _aborts(keys: Keys) -> dict[tuple[str, str], list[Any]]:
    """Aborted blocks by step and reason."""
    found: dict[tuple[str, str], list[Any]] = {}
    for row in keys.blocks[keys.blocks["abort_step"] != b""]:
        found.setdefault((row["abort_step"].decode(), row["abort_reason"].decode()), []).append(row)
    return found


def _keys_dict(info: KeysInfo, keys: Keys | None, done: int) -> dict[str, Any]:
    out: dict[str, Any] = {
        "complete": keys is not None,
        "mode": info.mode,
        "source": info.source,
        "source_digest": info.source_digest,
        "pairs": info.rows,
        "blocks": info.blocks,
        "blocks_done": done,
        "config": json.loads(info.config),
        "config_digest": info.config_digest,
        "security": dict(info.security),
    }
    if keys is None:
        return out
    sums = ("sifted", "tested", "errors", "reconciled_bits", "frames", "failed_frames", "leak_bits", "tag_bits")
    out |= {name: int(keys.blocks[name].sum()) for name in sums}
    out["qber"] = out["errors"] / out["tested"] if out["tested"] else None
    for basis, wrong, whole in _disclosed(keys):
        out[f"qber_{basis.lower()}"] = wrong / whole if whole else None
    found = _efficiency(keys)
    names = ("efficiency", "efficiency_min", "efficiency_max")
    out |= dict(zip(names, found[:3] if found else (None,) * 3, strict=True))
    out |= {"key_per_emission": keys.per_emission, "key_per_second": keys.per_second}
    out["key_bits"] = keys.key_bits
    out["key"] = "none" if not keys.key_bits else "equal" if keys.agree else "different"
    out["aborts"] = [
        {
            "block": int(row["index"]),
            "step": row["abort_step"].decode(),
            "reason": row["abort_reason"].decode(),
            "numbers": json.loads(row["abort_numbers"]),
        }
        for rows in _aborts(keys).values()
        for row in rows
    ]
    return {**out, "keys_digest": keys.digest}


def engines_text(engines: dict[str, str | None]) -> str:
    """What ``engines`` prints: a name and what is missing, if anything is."""
    width = max(map(len, engines))
    return "\n".join(f"{name:<{width}}  {missing or 'usable'}" for name, missing in engines.items())
