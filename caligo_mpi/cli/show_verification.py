"""What ``verify`` prints of pairs files, and the same as plain values for ``--json``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..machine.wording import counted
from ..store import LABEL, Verification


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
        "keep": found.keep,
        "resampled": list(found.resampled),
        "differing": list(found.differing),
    }


def verification_text(found: Verification) -> str:
    """What ``verify`` prints."""
    kind = "complete file" if found.complete else "partial file"
    verdict = "all is well" if found.ok else "DAMAGED"
    lines = [
        f"{found.path}: {kind}, {counted(found.chunks, 'chunk')}, {verdict}",
        *_listed_chunks("damaged records", found.records),
        *_listed_chunks("damaged data", found.data),
        *_listed_chunks("simulated again", found.resampled),
        *_listed_chunks("came out otherwise when simulated again", found.differing),
    ]
    if found.keep == "records" and not found.resampled:
        lines.append(
            "  keeps records only: there are no rows to check; --resample N simulates N chunks again"
        )
    if found.keep == "counts":
        lines.append(f"  {LABEL}: counts drawn from their law, there are no rows to check")
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


def _listed_chunks(name: str, chunks: Sequence[int]) -> Iterator[str]:
    """A line about some chunks, of which the first twenty are named; no line where there are none."""
    if not chunks:
        return
    listed = ", ".join(map(str, chunks[:20]))
    more = ", …" if len(chunks) > 20 else ""
    yield f"  {name}: {len(chunks)} ({listed}{more})"
