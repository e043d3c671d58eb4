"""What a person reads of keys files, and the same as plain values for ``--json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..protocol.estimate import efficiency
from ..runs.distill import Distilled
from ..store.keys import Keys, KeysInfo, KeysStatus, KeysVerification
from ..terminal.wording import counted, duration, quantity


def distilled_text(done: Distilled) -> str:
    """The last words of ``distill``."""
    info = done.info
    state = f"stopped; {done.blocks_done} of {info.blocks} blocks are in"
    lines = ["  run the same command again to go on"]
    if done.keys:
        state = "complete"
        lines = _key_lines(done.keys)
    blocks = counted(info.blocks, "block")
    head = f"{done.path}: {state}, {info.mode}, {info.rows:,} pairs in {blocks}"
    if done.launched:
        rate = done.launched / max(done.seconds, 1e-9)
        head += f"; {duration(done.seconds)}, {quantity(rate)} pairs/s"
    return "\n".join([head, *lines])


def distilled_dict(done: Distilled) -> dict[str, Any]:
    """The same for machines."""
    out = {"path": str(done.path), **_keys_dict(done.info, done.keys, done.blocks_done)}
    return {
        **out,
        "launched": done.launched,
        "seconds": done.seconds,
        "messages": list(done.messages),
    }


def keys_status_text(status: KeysStatus) -> str:
    """What ``status`` prints of a keys file."""
    if status.keys:
        state = "complete"
    elif status.owner:
        state = f"being written by {status.owner}"
    else:
        state = "stopped"
    info = status.info
    blocks = counted(info.blocks, "block")
    identity = f"seed {info.seed}, config {info.config_digest[:16]}"
    lines = [
        f"{status.path}: {state}, {info.mode} on {info.source}",
        f"  {status.blocks_done:,} of {blocks}, {info.rows:,} pairs, {identity}",
    ]
    if status.keys:
        lines += _key_lines(status.keys)
    return "\n".join(lines)


def keys_status_dict(status: KeysStatus) -> dict[str, Any]:
    """What ``status --json`` prints of a keys file."""
    out = {"path": str(status.path), **_keys_dict(status.info, status.keys, status.blocks_done)}
    return {**out, "owner": status.owner}


def keys_verification_text(found: KeysVerification) -> str:
    """What ``verify`` prints of a keys file."""
    kind = "complete keys file" if found.complete else "partial keys file"
    blocks = counted(found.blocks, "block")
    verdict = "all is well" if found.ok else "DAMAGED"
    lines = [f"{found.path}: {kind}, {blocks}, {verdict}"]
    for fits, sentence in (
        (found.checksum_fits, "the checksum does not fit the contents"),
        (found.digest_fits, "the keys digest does not fit the keys"),
        (found.agree, "Bob does not have the key that he should"),
    ):
        if fits is False:
            lines.append(f"  {sentence}")
    if found.torn:
        lines.append(
            f"  {found.torn} bytes behind the last whole block; distilling again drops them"
        )
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


def _key_lines(keys: Keys) -> list[str]:
    """What the reports of a complete keys file have in common."""
    return [
        *_error_lines(keys),
        *_length_lines(keys),
        *_abort_lines(keys),
        f"  keys digest {keys.digest}",
    ]


def _sum(keys: Keys, column: str) -> int:
    """A column of the blocks, added up."""
    return int(keys.blocks[column].sum())


def _error_lines(keys: Keys) -> Iterator[str]:
    """Errors, what was disclosed of them, and what their correction cost."""
    tested = _sum(keys, "tested")
    errors = _sum(keys, "errors")
    rate = _percent(", QBER", errors, tested)
    yield f"  {_sum(keys, 'sifted'):,} sifted; {tested:,} tested, {errors:,} errors{rate}"
    told = []
    for basis, part, whole in _disclosed(keys):
        share = _percent(",", part, whole)
        told.append(f"{basis}: {part:,} of {whole:,}{share}")
    if told:
        yield f"  errors in disclosed bits: {'; '.join(told)}"
    found = _efficiency(keys)
    if found is not None:
        mean, least, most, count = found
        frames = counted(count, "frame")
        yield f"  reconciliation f = {mean:.4f} ({least:.4f} to {most:.4f} in {frames})"


def _length_lines(keys: Keys) -> Iterator[str]:
    """How much key there is."""
    quality = keys.info.security.get("preparation_quality", 1)
    if quality != 1:
        reason = "Alice's read-out favors a bit"
        yield f"  preparation quality {quality:.4f} bits per key bit: {reason}"
    if keys.key_bits:
        share = _percent(";", keys.key_bits, _sum(keys, "sifted"), " of sifted")
        yield f"  key: {keys.key_bits:,} bits{_whose(keys)}{share}"
        yield from _rate_lines(keys)
    else:
        yield "  key: none"


def _abort_lines(keys: Keys) -> Iterator[str]:
    """Why blocks gave no key, with the numbers of the first block of each reason."""
    for (step, reason), rows in _aborts(keys).items():
        first = rows[0]
        numbers = json.loads(first["abort_numbers"])
        listed = ", ".join(f"{name}={value:.6g}" for name, value in numbers.items())
        where = f"{counted(len(rows), 'block')} from block {first['index']} on"
        yield f"  aborted, {where}: {step}: {reason} ({listed})"


def _disclosed(keys: Keys) -> Iterator[tuple[str, int, int]]:
    """For each basis, errors and bits of all that was told; nothing from older files."""
    columns = keys.blocks.dtype.names or ()
    for basis in "ZX":
        wrong = f"errors_{basis.lower()}"
        whole = f"tested_{basis.lower()}"
        if wrong in columns:
            yield basis, _sum(keys, wrong), _sum(keys, whole)


def _efficiency(keys: Keys) -> tuple[float, float, float, int] | None:
    """The efficiency f of error correction: mean, least, most, and of how many frames.

    The mean is over all that was told, relative to the entropy of all errors.
    """
    if keys.frames is None:
        return None
    frames = keys.frames[np.isfinite(keys.frames["efficiency"])]
    if not len(frames):
        return None
    totals = [np.array([float(frames[name].sum())]) for name in ("leak_bits", "bits", "corrected")]
    mean = float(efficiency(*totals)[0])
    of_frames = frames["efficiency"]
    return mean, float(of_frames.min()), float(of_frames.max()), len(frames)


def _rate_lines(keys: Keys) -> Iterator[str]:
    if keys.per_emission is None:
        return
    simulated = ""
    if keys.per_second is not None:
        simulated = f"; {quantity(keys.per_second)}bit/s of simulated time"
    yield f"  secret bits per emission: {keys.per_emission:.4g}{simulated}"


def _percent(before: str, part: int, whole: int, after: str = "") -> str:
    """``part`` of ``whole`` in words; nothing where there is no whole."""
    if not whole:
        return ""
    return f"{before} {100 * part / whole:.4f} %{after}"


def _whose(keys: Keys) -> str:
    """How Bob's key compares with Alice's, or which of her strings he has."""
    if keys.choice is None:
        verdict = "equal" if keys.agree else "DIFFERENT"
        return f", Alice's and Bob's are {verdict}"
    decoded = keys.hidden["decoded"].all()
    got = "" if decoded else ", but decoding failed: his are random bits"
    return f" in each of Alice's strings; Bob has number {keys.choice}{got}"


def _aborts(keys: Keys) -> dict[tuple[str, str], list[Any]]:
    """Aborted blocks by step and reason."""
    found: dict[tuple[str, str], list[Any]] = {}
    aborted = keys.blocks["abort_step"] != b""
    for row in keys.blocks[aborted]:
        step = row["abort_step"].decode()
        reason = row["abort_reason"].decode()
        found.setdefault((step, reason), []).append(row)
    return found


def _keys_dict(info: KeysInfo, keys: Keys | None, done: int) -> dict[str, Any]:
    """What every report on a keys file has in common; results only of a complete one."""
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
    return out if keys is None else out | _results_dict(keys)


_SUMS = (
    "sifted",
    "tested",
    "errors",
    "reconciled_bits",
    "frames",
    "failed_frames",
    "leak_bits",
    "tag_bits",
)


def _results_dict(keys: Keys) -> dict[str, Any]:
    """Totals of the blocks, rates, the key and the aborts."""
    out: dict[str, Any] = {name: _sum(keys, name) for name in _SUMS}
    out["qber"] = _ratio(out["errors"], out["tested"])
    for basis, wrong, whole in _disclosed(keys):
        out[f"qber_{basis.lower()}"] = _ratio(wrong, whole)
    mean, least, most, _ = _efficiency(keys) or (None, None, None, 0)
    out["efficiency"] = mean
    out["efficiency_min"] = least
    out["efficiency_max"] = most
    out["key_per_emission"] = keys.per_emission
    out["key_per_second"] = keys.per_second
    out["key_bits"] = keys.key_bits
    verdict = "equal" if keys.agree else "different"
    out["key"] = verdict if keys.key_bits else "none"
    out["aborts"] = [_abort_dict(row) for rows in _aborts(keys).values() for row in rows]
    out["keys_digest"] = keys.digest
    return out


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _abort_dict(row: Any) -> dict[str, Any]:
    """Why the block in a row gave no key."""
    return {
        "block": int(row["index"]),
        "step": row["abort_step"].decode(),
        "reason": row["abort_reason"].decode(),
        "numbers": json.loads(row["abort_numbers"]),
    }
