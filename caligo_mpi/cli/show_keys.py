"""What a person reads of keys files, and the same as plain values for ``--json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..machine.wording import counted, duration, percent_of, quantity, rate, so_far
from ..protocol.estimate import efficiency
from ..protocol.remedies import remedy
from ..runs.distill import Distilled
from ..store.keys import KeysInfo, KeysReport, KeysStatus, KeysVerification


def distilled_text(done: Distilled) -> str:
    """The last words of ``distill``: state, errors, key, digest."""
    info = done.info
    if done.keys:
        state = "complete"
        rest = _key_lines(done.keys)
    else:
        state = f"stopped; {so_far(done.blocks_done, info.blocks, 'block')}"
        rest = ["  run the same command again to go on"]
    pairs = counted(info.rows, "pair")
    blocks = counted(info.blocks, "block")
    head = f"{done.path}: {state}, {info.mode}, {pairs} in {blocks}"
    if done.launched:
        speed = done.launched / max(done.seconds, 1e-9)
        head += f"; {duration(done.seconds)}, {rate(speed)}"
    return "\n".join([head, *rest])


def distilled_dict(done: Distilled) -> dict[str, Any]:
    """What ``distill --json`` prints."""
    return {
        "path": str(done.path),
        **_keys_dict(done.info, done.keys, done.blocks_done),
        "launched": done.launched,
        "seconds": done.seconds,
        "messages": list(done.messages),
    }


def keys_status_text(status: KeysStatus) -> str:
    """What ``status`` prints of a keys file."""
    info = status.info
    state = _state(status)
    blocks = f"{status.blocks_done:,} of {counted(info.blocks, 'block')}"
    pairs = counted(info.rows, "pair")
    config = info.config_digest[:16]
    lines = [
        f"{status.path}: {state}, {info.mode} on {info.source}",
        f"  {blocks}, {pairs}, seed {info.seed}, config {config}",
    ]
    if status.keys:
        lines += _key_lines(status.keys)
    return "\n".join(lines)


def _state(status: KeysStatus) -> str:
    if status.keys:
        return "complete"
    if status.owner:
        return f"being written by {status.owner}"
    return "stopped"


def keys_status_dict(status: KeysStatus) -> dict[str, Any]:
    """What ``status --json`` prints of a keys file."""
    return {
        "path": str(status.path),
        **_keys_dict(status.info, status.keys, status.blocks_done),
        "owner": status.owner,
    }


def keys_verification_text(found: KeysVerification) -> str:
    """What ``verify`` prints of a keys file."""
    kind = "complete keys file" if found.complete else "partial keys file"
    blocks = counted(found.blocks, "block")
    verdict = "all is well" if found.ok else "DAMAGED"
    lines = [f"{found.path}: {kind}, {blocks}, {verdict}"]
    if found.checksum_fits is False:
        lines.append("  the checksum does not fit the contents")
    if found.digest_fits is False:
        lines.append("  the keys digest does not fit the keys")
    if found.agree is False:
        lines.append("  Bob does not have the key that he should")
    if found.torn:
        torn = counted(found.torn, "byte")
        lines.append(f"  {torn} behind the last whole block; distilling again drops them")
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


def _key_lines(keys: KeysReport) -> list[str]:
    return [
        *_error_lines(keys),
        *_made_lines(keys),
        *_abort_lines(keys),
        f"  keys digest {keys.digest}",
    ]


def _error_lines(keys: KeysReport) -> Iterator[str]:
    """What was sifted, tested and told, and what the reconciliation cost."""
    sifted = _sum_of(keys, "sifted")
    tested = _sum_of(keys, "tested")
    errors = _sum_of(keys, "errors")
    wrong = counted(errors, "error")
    qber = _percent(", QBER", errors, tested)
    yield f"  {sifted:,} sifted; {tested:,} tested, {wrong}{qber}"
    told = []
    for basis, part, whole in _disclosed(keys):
        share = _percent(",", part, whole)
        told.append(f"{basis}: {part:,} of {whole:,}{share}")
    if told:
        yield f"  errors in disclosed bits: {'; '.join(told)}"
    found = _efficiency(keys)
    if found is not None:
        mean, least, most, number = found
        spread = f"{least:.4f} to {most:.4f} in {counted(number, 'frame')}"
        yield f"  reconciliation f = {mean:.4f} ({spread})"


def _made_lines(keys: KeysReport) -> Iterator[str]:
    """The key, and what it is worth."""
    quality = keys.info.security.get("preparation_quality", 1)
    if quality != 1:
        yield (
            f"  preparation quality {quality:.4f} bits per key bit: Alice's read-out favors a bit"
        )
    if not keys.key_bits:
        yield "  key: none"
        return
    length = counted(keys.key_bits, "bit")
    sifted = _sum_of(keys, "sifted")
    share = _percent(";", keys.key_bits, sifted, " of sifted")
    yield f"  key: {length}{_whose(keys)}{share}"
    yield from _rate_lines(keys)


def _sum_of(keys: KeysReport, name: str) -> int:
    """The sum of a column of the table of blocks."""
    return int(keys.blocks[name].sum())


def _abort_lines(keys: KeysReport) -> Iterator[str]:
    for (step, reason), rows in _aborts(keys).items():
        first = rows[0]
        numbers = []
        for name, value in json.loads(first["abort_numbers"]).items():
            numbers.append(f"{name}={value:.6g}")
        blocks = counted(len(rows), "block")
        where = f"{blocks} from block {first['index']} on"
        found = ", ".join(numbers)
        yield f"  aborted, {where}: {step}: {reason} ({found})"
        helps = remedy(reason)
        if helps:
            yield f"    what helps: {helps}"


def _disclosed(keys: KeysReport) -> Iterator[tuple[str, int, int]]:
    """Basis, errors, bits of all that was told; nothing from older files."""
    known = keys.blocks.dtype.names or ()
    for basis in "ZX":
        errors = f"errors_{basis.lower()}"
        tested = f"tested_{basis.lower()}"
        if errors in known:
            yield basis, _sum_of(keys, errors), _sum_of(keys, tested)


def _efficiency(keys: KeysReport) -> tuple[float, float, float, int] | None:
    """Mean f (all that was told, by the entropy of all errors), least, most, and of how many frames."""
    if keys.frames is None:
        return None
    known = np.isfinite(keys.frames["efficiency"])
    frames = keys.frames[known]
    if not len(frames):
        return None
    sums = []
    for name in ("leak_bits", "bits", "corrected"):
        total = float(frames[name].sum())
        sums.append(np.array([total]))
    (mean,) = efficiency(*sums).tolist()
    least = float(frames["efficiency"].min())
    most = float(frames["efficiency"].max())
    return mean, least, most, len(frames)


def _rate_lines(keys: KeysReport) -> Iterator[str]:
    if keys.per_emission is None:
        return
    line = f"  secret bits per emission: {keys.per_emission:.4g}"
    if keys.per_second is not None:
        line += f"; {quantity(keys.per_second)}bit/s of simulated time"
    yield line


def _percent(before: str, part: int, whole: int, after: str = "") -> str:
    """A share with words around it; nothing where there is no whole."""
    if not whole:
        return ""
    return f"{before} {percent_of(part, whole)}{after}"


def _whose(keys: KeysReport) -> str:
    if keys.choice is None:
        verdict = "equal" if keys.agree else "DIFFERENT"
        return f", Alice's and Bob's are {verdict}"
    words = f" in each of Alice's strings; Bob has number {keys.choice}"
    if not keys.hidden["decoded"].all():
        words += ", but decoding failed: his are random bits"
    return words


def _aborts(keys: KeysReport) -> dict[tuple[str, str], list[Any]]:
    """Aborted blocks by step and reason."""
    found: dict[tuple[str, str], list[Any]] = {}
    aborted = keys.blocks[keys.blocks["abort_step"] != b""]
    for row in aborted:
        step = row["abort_step"].decode()
        reason = row["abort_reason"].decode()
        alike = found.setdefault((step, reason), [])
        alike.append(row)
    return found


def _keys_dict(info: KeysInfo, keys: KeysReport | None, done: int) -> dict[str, Any]:
    out = {
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
    if keys:
        out |= _made_dict(keys)
    return out


#: Columns of the table of blocks of which `_made_dict` gives the sums.
_SUMS = (
    "sifted", "tested", "errors", "reconciled_bits", "frames", "failed_frames", "leak_bits", "tag_bits",
)  # fmt: skip


def _made_dict(keys: KeysReport) -> dict[str, Any]:
    """What finished keys are and how they came to be."""
    out: dict[str, Any] = {name: _sum_of(keys, name) for name in _SUMS}
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
    out["key"] = "none"
    if keys.key_bits:
        out["key"] = "equal" if keys.agree else "different"
    out["aborts"] = []
    for rows in _aborts(keys).values():
        out["aborts"] += [_abort_dict(row) for row in rows]
    out["keys_digest"] = keys.digest
    return out


def _abort_dict(row: np.void) -> dict[str, Any]:
    """A block that was aborted, for ``--json``."""
    reason = row["abort_reason"].decode()
    return {
        "block": int(row["index"]),
        "step": row["abort_step"].decode(),
        "reason": reason,
        "numbers": json.loads(row["abort_numbers"]),
        "remedy": remedy(reason),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
