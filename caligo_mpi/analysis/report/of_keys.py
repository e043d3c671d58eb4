"""What a report says of a keys file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import StoreError
from ...machine.wording import counted
from ...protocol.remedies import remedy
from ...store.keys import KeysReport, keys_status
from .. import figures
from ..figures.style import can_draw
from . import html
from .of_launches import software
from .section import Figure, Section

#: Blocks of the table of blocks that are shown, and what is shown of them.
_MOST_BLOCKS = 40
_OF_BLOCKS = (
    "index",
    "count",
    "sifted",
    "tested",
    "errors",
    "leak_bits",
    "key_bits",
)
#: What a file says of its security, in the order of the page.
_SECURITY = (
    "epsilon_total",
    "epsilon_sec",
    "epsilon_cor",
    "epsilon_rob",
    "preparation_quality",
)


def section(path: str) -> Section:
    """The file's section.  Raises `StoreError` where it is damaged or not finished."""
    status = keys_status(path)
    keys = status.keys
    if keys is None:
        blocks = counted(status.info.blocks, "block")
        raise StoreError(
            f"{status.path} is not finished ({status.blocks_done} of {blocks}); "
            "distill again to go on with it, then make the report"
        )
    return Section(
        title=Path(status.path).name,
        summary=summary(keys),
        parts=[*_parts(keys)],
        figures=[*_figures(keys)] if can_draw() else [],
        after=[*_background(keys)],
    )


def summary(keys: KeysReport) -> dict[str, object]:
    """One line of the comparison of several files."""
    tested = int(keys.blocks["tested"].sum())
    errors = int(keys.blocks["errors"].sum())
    return {
        "mode": keys.info.mode,
        "of": keys.info.source,
        "pairs": f"{keys.info.rows:,}",
        "tested QBER / %": f"{100 * errors / tested:.4f}" if tested else "–",
        "key / bits": f"{keys.key_bits:,}",
        "verdict": verdict(keys),
    }


def verdict(keys: KeysReport) -> html.Marked:
    """In a few words: whether there is a key, and whether both have it."""
    if not keys.key_bits:
        return html.bad("no key")
    if not keys.agree:
        return html.bad("the parties' keys differ")
    words = "both have the same key"
    if keys.choice is not None:
        words = "Bob has the string of his choice"
    return html.good(f"{keys.key_bits:,} bits, {words}")


def _parts(keys: KeysReport) -> Iterator[str]:
    yield f"<p>{verdict(keys)}</p>"
    for step, reason, blocks in _aborts(keys):
        told = html.bad(f"{blocks} aborted: {step}: {reason}")
        yield f"<p>{told}</p>"
        if helps := remedy(reason):
            yield html.paragraph(f"What helps: {helps}.")
    facts = html.facts(_facts(keys))
    header = ("step", "bits", "of pairs")
    steps = html.table(
        header,
        _steps(keys),
        numbers=(1, 2),
    )
    yield html.columns(facts, steps)


def _aborts(keys: KeysReport) -> Iterator[tuple[str, str, str]]:
    """Why blocks were aborted: the step, the reason, how many of them."""
    aborted = keys.blocks[keys.blocks["abort_step"] != b""]
    why = aborted[["abort_step", "abort_reason"]]
    different, counts = np.unique(why, return_counts=True)
    for (step, reason), count in zip(different, counts, strict=True):
        blocks = counted(int(count), "block")
        yield step.decode(), reason.decode(), blocks


def _facts(keys: KeysReport) -> Iterator[tuple[str, object]]:
    info = keys.info
    blocks = counted(info.blocks, "block")
    yield "mode", info.mode
    if "chosen" in info.software:
        yield "chosen", info.software["chosen"]
    pairs = f"{info.rows:,} of {info.source}"
    yield "pairs", f"{pairs}, in {blocks}"
    if keys.per_emission is not None:
        yield "secret bits per emission", f"{keys.per_emission:.6g}"
    if keys.per_second is not None:
        yield "secret bits per second of simulated time", f"{keys.per_second:.6g}"
    for name in _SECURITY:
        value = info.security.get(name)
        if value is not None:
            yield name, f"{value:.6g}"
    yield "keys digest", keys.digest
    yield "pairs' data digest", info.source_digest


def _steps(keys: KeysReport) -> Iterator[tuple[str, str, str]]:
    """What became of every bit, as rows of a table."""
    steps = figures.where_bits_went(keys)
    rows = max(1, steps[0].bits)
    for step in steps:
        percent = 100 * step.bits / rows
        yield step.name, f"{step.bits:,}", f"{percent:.3f} %"


def _figures(keys: KeysReport) -> Iterator[Figure]:
    yield Figure("waterfall", figures.plot_waterfall(keys))
    frames = keys.frames
    if frames is not None and np.isfinite(frames["efficiency"]).any():
        yield Figure("efficiency", figures.plot_efficiency(keys))
    has_bits = (keys.blocks["reconciled_bits"] > 0).any()
    if keys.info.mode == "bbm92" and has_bits:
        yield Figure("finite-key", figures.plot_finite_key(keys))


def _background(keys: KeysReport) -> Iterator[str]:
    assumed: Any = keys.info.security.get("assumed", [])
    if assumed:
        yield html.heading(3, "What is assumed")
        yield html.bullets(assumed)
    yield html.heading(3, "Blocks")
    header = html.words(_OF_BLOCKS)
    rows = [_block(row) for row in keys.blocks[:_MOST_BLOCKS]]
    yield html.table(
        header,
        rows,
        numbers=range(7),
    )
    yield from html.first_of(
        _MOST_BLOCKS,
        len(keys.blocks),
        "blocks",
    )
    config = json.loads(keys.info.config)
    protocol = html.code(json.dumps(config, indent=2))
    said = html.facts(software(keys.info.software))
    yield html.heading(3, "Protocol and software")
    yield html.columns(protocol, said)


def _block(row: np.void) -> list[str]:
    """A block's counts, as a row of a table."""
    counts = [int(row[name]) for name in _OF_BLOCKS]
    return [f"{count:,}" for count in counts]
