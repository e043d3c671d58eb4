"""What a person reads of keys files, and the same as plain values for ``--json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..machine.wording import counted, duration, quantity, rate, so_far
from ..protocol.estimate import efficiency
from ..protocol.remedies import remedy
from ..runs.distill import Distilled
from ..store.keys import KeysInfo, KeysReport, KeysStatus, KeysVerification


def distilled_text(done: Distilled) -> str:
    """The last words of ``distill``."""
    state = (
        "complete"
        if done.keys
        else f"stopped; {so_far(done.blocks_done, done.info.blocks, 'block')}"
    )
    pairs, blocks = counted(done.info.rows, "pair"), counted(done.info.blocks, "block")
    head = f"{done.path}: {state}, {done.info.mode}, {pairs} in {blocks}"
    if done.launched:
        head += f"; {duration(done.seconds)}, {rate(done.launched / max(done.seconds, 1e-9))}"
    return "\n".join(
        [head, *(_key_lines(done.keys) if done.keys else ["  run the same command again to go on"])]
    )


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
    state = (
        "complete"
        if status.keys
        else f"being written by {status.owner}"
        if status.owner
        else "stopped"
    )
    info = status.info
    lines = [
        f"{status.path}: {state}, {info.mode} on {info.source}",
        f"  {status.blocks_done:,} of {counted(info.blocks, 'block')}, {counted(info.rows, 'pair')}, seed {info.seed}, "
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
    lines = [
        f"{found.path}: {kind}, {counted(found.blocks, 'block')}, {'all is well' if found.ok else 'DAMAGED'}"
    ]
    for fits, sentence in (
        (found.checksum_fits, "the checksum does not fit the contents"),
        (found.digest_fits, "the keys digest does not fit the keys"),
        (found.agree, "Bob does not have the key that he should"),
    ):
        if fits is False:
            lines.append(f"  {sentence}")
    if found.torn:
        lines.append(
            f"  {counted(found.torn, 'byte')} behind the last whole block; distilling again drops them"
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


def _key_lines(keys: KeysReport) -> list[str]:
    blocks = keys.blocks
    sifted, tested, errors = (int(blocks[name].sum()) for name in ("sifted", "tested", "errors"))
    lines = [
        f"  {sifted:,} sifted; {tested:,} tested, {counted(errors, 'error')}"
        + _percent(", QBER", errors, tested)
    ]
    told = "; ".join(
        f"{basis}: {part:,} of {whole:,}" + _percent(",", part, whole)
        for basis, part, whole in _disclosed(keys)
    )
    if told:
        lines.append(f"  errors in disclosed bits: {told}")
    if (found := _efficiency(keys)) is not None:
        mean, least, most, frames = found
        lines.append(
            f"  reconciliation f = {mean:.4f} ({least:.4f} to {most:.4f} in {counted(frames, 'frame')})"
        )
    quality = keys.info.security.get("preparation_quality", 1)
    if quality != 1:
        lines.append(
            f"  preparation quality {quality:.4f} bits per key bit: Alice's read-out favors a bit"
        )
    if keys.key_bits:
        lines.append(
            f"  key: {counted(keys.key_bits, 'bit')}"
            + _whose(keys)
            + _percent(";", keys.key_bits, sifted, " of sifted")
        )
        lines += _rate_lines(keys)
    else:
        lines.append("  key: none")
    return [*lines, *_abort_lines(keys), f"  keys digest {keys.digest}"]


def _abort_lines(keys: KeysReport) -> Iterator[str]:
    for (step, reason), rows in _aborts(keys).items():
        numbers = ", ".join(
            f"{name}={value:.6g}" for name, value in json.loads(rows[0]["abort_numbers"]).items()
        )
        where = f"{counted(len(rows), 'block')} from block {rows[0]['index']} on"
        yield f"  aborted, {where}: {step}: {reason} ({numbers})"
        if helps := remedy(reason):
            yield f"    what helps: {helps}"


def _disclosed(keys: KeysReport) -> Iterator[tuple[str, int, int]]:
    """Basis, errors, bits of all that was told; nothing from older files."""
    for basis in "ZX":
        wrong, whole = f"errors_{basis.lower()}", f"tested_{basis.lower()}"
        if wrong in (keys.blocks.dtype.names or ()):
            yield basis, int(keys.blocks[wrong].sum()), int(keys.blocks[whole].sum())


def _efficiency(keys: KeysReport) -> tuple[float, float, float, int] | None:
    """Mean f (all that was told, by the entropy of all errors), least, most, and of how many frames."""
    frames = keys.frames
    if frames is None or not len(frames := frames[np.isfinite(frames["efficiency"])]):
        return None
    total = (np.array([float(frames[name].sum())]) for name in ("leak_bits", "bits", "corrected"))
    of_frames = frames["efficiency"]
    return float(efficiency(*total)[0]), float(of_frames.min()), float(of_frames.max()), len(frames)


def _rate_lines(keys: KeysReport) -> Iterator[str]:
    if keys.per_emission is not None:
        simulated = (
            f"; {quantity(keys.per_second)}bit/s of simulated time"
            if keys.per_second is not None
            else ""
        )
        yield f"  secret bits per emission: {keys.per_emission:.4g}{simulated}"


def _percent(before: str, part: int, whole: int, after: str = "") -> str:
    return f"{before} {100 * part / whole:.4f} %{after}" if whole else ""


def _whose(keys: KeysReport) -> str:
    if keys.choice is None:
        return ", Alice's and Bob's are " + ("equal" if keys.agree else "DIFFERENT")
    got = "" if keys.hidden["decoded"].all() else ", but decoding failed: his are random bits"
    return f" in each of Alice's strings; Bob has number {keys.choice}{got}"


def _aborts(keys: KeysReport) -> dict[tuple[str, str], list[Any]]:
    """Aborted blocks by step and reason."""
    found: dict[tuple[str, str], list[Any]] = {}
    for row in keys.blocks[keys.blocks["abort_step"] != b""]:
        found.setdefault((row["abort_step"].decode(), row["abort_reason"].decode()), []).append(row)
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
    return out | (_made_dict(keys) if keys else {})


#: Columns of the table of blocks of which `_made_dict` gives the sums.
_SUMS = (
    "sifted", "tested", "errors", "reconciled_bits", "frames", "failed_frames", "leak_bits", "tag_bits",
)  # fmt: skip


def _made_dict(keys: KeysReport) -> dict[str, Any]:
    """What finished keys are and how they came to be."""
    out: dict[str, Any] = {name: int(keys.blocks[name].sum()) for name in _SUMS}
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
            "remedy": remedy(row["abort_reason"].decode()),
        }
        for rows in _aborts(keys).values()
        for row in rows
    ]
    return {**out, "keys_digest": keys.digest}
