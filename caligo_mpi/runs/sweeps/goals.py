"""Points whose goal was changed since the sweep's last launch: what is there stays where it is enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...config.points import Point, ranges_text
from ...pairs import Tally
from ...pairs.stopping import decide
from ...store.sweep_data import Partial, Row
from ...store.sweep_journal import of_anew, of_info
from .. import devices
from ..until import foretold

if TYPE_CHECKING:
    from .campaign import Campaign


def is_enough(point: Point, row: Row) -> bool:
    """Whether a finished point's pairs are enough for its goal, if it has one."""
    config = point.config
    if config.until is None:
        return True
    pairs = int(row["pairs"])
    found = decide(
        config.until.goal,
        int(row["chunks"]),
        pairs,
        tally_of(row),
        last=pairs >= config.pairs,
    )
    return bool(found.reason)


def tally_of(sums: Mapping[str, Any]) -> Tally:
    """The counts in a row, or in what will be one."""
    return Tally(
        sifted_z=int(sums["sifted_z"]),
        errors_z=int(sums["errors_z"]),
        sifted_x=int(sums["sifted_x"]),
        errors_x=int(sums["errors_x"]),
    )


def expected_pairs(point: Point) -> int:
    """Emissions of a point, or as many as its goal takes by the closed forms."""
    config = point.config
    law = devices.expected(config) if config.until else None
    if law is None:
        return config.pairs
    return foretold(config, law).pairs


def take_up(campaign: Campaign) -> None:
    """Take back the points that another goal needs more of, where the goal is another one than the file's.

    A finished point has not kept what its chunks were one by one: it is simulated again from the first, to the same
    bits, or goes on from its pairs file.  So is one that was being distilled, or of which it is not certain that its
    last chunk is whole.
    """
    store = campaign.store
    if store.found.info.digest == store.info.digest:
        return
    with_goal = [point for point in campaign.points if point.config.until is not None]
    again = [point.index for point in with_goal if _take_back(campaign, point)]
    if again:
        told = f"point {again[0]}"
        if len(again) > 1:
            told = f"points {ranges_text(again)}"
        how = _FURTHER[campaign.sweep.keep]
        campaign.observer.say(f"the goal is another one than before: {told} {how}")
    store.put(of_info(store.info))
    store.commit()


_FURTHER: dict[str, str] = {
    "records": "simulated again, further",
    "pairs": "simulated further",
    "counts": "drawn again, further",
}


def _take_back(campaign: Campaign, point: Point) -> bool:
    row = campaign.rows.get(point.key)
    partial = campaign.partial.get(point.key)
    if row is not None and not is_enough(point, row):
        del campaign.rows[point.key]
    elif partial is not None and not _goes_on(point, partial):
        del campaign.partial[point.key]
    else:
        return False
    campaign.store.found.rows.pop(point.key, None)
    campaign.store.put(of_anew(point.key))
    return True


def _goes_on(point: Point, partial: Partial) -> bool:
    """Whether the next chunk of a point can follow those that are in."""
    if "stopped" in partial.sums:  # all that its goal took
        row = {**partial.sums, "chunks": partial.chunks}
        return is_enough(point, row)
    emissions = partial.chunks * point.config.chunk_size
    are_whole = partial.sums.get("rows") == emissions
    return are_whole and not partial.blocks and emissions <= point.config.pairs
