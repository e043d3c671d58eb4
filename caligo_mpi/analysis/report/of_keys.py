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
from .of_pairs import software
from .section import Figure, Section

#: Blocks of the table of blocks that are shown.
_MOST_BLOCKS = 40


def section(path: str) -> Section:
    """The file's section.  Raises `StoreError` where it is damaged or not finished."""
    status = keys_status(path)
    if status.keys is None:
        raise StoreError(
            f"{status.path} is not finished ({status.blocks_done} of {counted(status.info.blocks, 'block')}); "
            "distill again to go on with it, then make the report"
        )
    keys = status.keys
    return Section(
        title=Path(status.path).name,
        summary=summary(keys),
        parts=[*_parts(keys)],
        figures=[*_figures(keys)] if can_draw() else [],
        after=[*_background(keys)],
    )


def summary(keys: KeysReport) -> dict[str, object]:
    """One line of the comparison of several files."""
    tested, errors = (int(keys.blocks[name].sum()) for name in ("tested", "errors"))
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
    words = "both have the same key" if keys.choice is None else "Bob has the string of his choice"
    return html.good(f"{keys.key_bits:,} bits, {words}")


def _parts(keys: KeysReport) -> Iterator[str]:
    yield f"<p>{verdict(keys)}</p>"
    for step, reason, blocks in _aborts(keys):
        yield f"<p>{html.bad(f'{blocks} aborted: {step}: {reason}')}</p>"
        if helps := remedy(reason):
            yield html.paragraph(f"What helps: {helps}.")
    yield html.columns(
        html.facts(_facts(keys)),
        html.table(("step", "bits", "of pairs"), _steps(keys), numbers=(1, 2)),
    )


def _aborts(keys: KeysReport) -> Iterator[tuple[str, str, str]]:
    aborted = keys.blocks[keys.blocks["abort_step"] != b""]
    names, counts = np.unique(aborted[["abort_step", "abort_reason"]], return_counts=True)
    for name, count in zip(names, counts, strict=True):
        blocks = counted(int(count), "block")
        yield name["abort_step"].decode(), name["abort_reason"].decode(), blocks


def _facts(keys: KeysReport) -> Iterator[tuple[str, object]]:
    info = keys.info
    yield "mode", info.mode
    if "chosen" in info.software:
        yield "chosen", info.software["chosen"]
    yield "pairs", f"{info.rows:,} of {info.source}, in {counted(info.blocks, 'block')}"
    if keys.per_emission is not None:
        yield "secret bits per emission", f"{keys.per_emission:.6g}"
    if keys.per_second is not None:
        yield "secret bits per second of simulated time", f"{keys.per_second:.6g}"
    for name in (
        "epsilon_total",
        "epsilon_sec",
        "epsilon_cor",
        "epsilon_rob",
        "preparation_quality",
    ):
        if info.security.get(name) is not None:
            yield name, f"{info.security[name]:.6g}"
    yield "keys digest", keys.digest
    yield "pairs' data digest", info.source_digest


def _steps(keys: KeysReport) -> Iterator[tuple[object, ...]]:
    steps = figures.where_bits_went(keys)
    rows = max(1, steps[0].bits)
    for step in steps:
        yield step.name, f"{step.bits:,}", f"{100 * step.bits / rows:.3f} %"


def _figures(keys: KeysReport) -> Iterator[Figure]:
    yield Figure("waterfall", figures.plot_waterfall(keys))
    if keys.frames is not None and np.isfinite(keys.frames["efficiency"]).any():
        yield Figure("efficiency", figures.plot_efficiency(keys))
    if keys.info.mode == "bbm92" and (keys.blocks["reconciled_bits"] > 0).any():
        yield Figure("finite-key", figures.plot_finite_key(keys))


def _background(keys: KeysReport) -> Iterator[str]:
    assumed: Any = keys.info.security.get("assumed", [])
    if assumed:
        yield html.heading(3, "What is assumed")
        yield "<ul>" + "".join(f"<li>{html.escaped(str(line))}</li>" for line in assumed) + "</ul>"
    yield html.heading(3, "Blocks")
    names = ("index", "count", "sifted", "tested", "errors", "leak_bits", "key_bits")
    rows = [[f"{int(row[name]):,}" for name in names] for row in keys.blocks[:_MOST_BLOCKS]]
    yield html.table([name.replace("_", " ") for name in names], rows, numbers=range(7))
    if len(keys.blocks) > _MOST_BLOCKS:
        yield html.paragraph(
            f"The first {_MOST_BLOCKS} of {len(keys.blocks):,} blocks.", kind="faint"
        )
    yield html.heading(3, "Protocol and software")
    protocol = json.dumps(json.loads(keys.info.config), indent=2)
    yield html.columns(html.code(protocol), html.facts(software(keys.info.software)))
