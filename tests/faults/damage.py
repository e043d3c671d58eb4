"""Flip single bits of files and cut them short; look at each with everything that reads files, under a time limit.

A worker process damages a copy, looks at it, and repairs it; where it hangs or dies a new one goes on.  Nothing may
hang, crash or give other data than before.  A flip that nothing notices is silent: it is listed with its place.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from caligo_mpi import parse_config, parse_protocol
from caligo_mpi.errors import CaligoError
from caligo_mpi.runs import block_work, distill, generate
from caligo_mpi.store import open_pairs, pairs_hash, status, verify_file, walk
from caligo_mpi.store.keys import keys_status, read_keys, verify_keys
from tests.helpers import stopping_after

#: Whoever needs longer for all looks at one file of a few hundred kB has hung: a probe gives up after 60 s.
HANG_SECONDS = 240.0

RUN = {
    "pairs": 20_000,
    "chunk_size": 2048,
    "seed": 7,
    "engine": {"name": "noise", "link": {"fidelity": 0.98}},
}
KEYS = {"mode": "bbm92", "seed": 5, "block_size": 10_000}
#: How often a flip hits headers, tables and keys, and what lies between.
WEIGHTS = {"headers": 16, "tables": 3, "gaps": 1}

Look = Callable[[Path], str]


@dataclass
class Damage:
    """What became of the damaged files of one kind."""

    name: str
    tried: int = 0
    refused: int = 0  # one sentence, or a verdict of `verify`
    silent: Counter[str] = field(default_factory=Counter)
    hangs: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """An intact file, and what looks at it: ``look`` gives what was noticed, empty for nothing, and raises on lies."""

    name: str
    path: Path
    look: Look


class WrongData(Exception):
    """Other data than before, and nobody said so."""


def targets(folder: Path) -> list[Target]:
    """A pairs file, a partial one, a keys file and a partial keys file."""
    pairs, keys = folder / "pairs.h5", folder / "keys.h5"
    config = parse_config(RUN)
    generate.generate(config, pairs)
    job = distill.prepare(pairs, parse_protocol(KEYS))
    distill.distill(job, keys)
    generate.generate(config, folder / "half.h5", map=stopping_after(4))
    distill.distill(job, folder / "half-keys.h5", map=stopping_after(1))
    data, digest = (status(pairs).data_digest, pairs_hash(pairs)), read_keys(keys).digest
    return [
        Target("pairs file", pairs, lambda path: look_at_pairs(path, data, digest)),
        Target("partial file", folder / "half.h5.part", lambda path: look_at_partial(path, data)),
        Target("keys file", keys, lambda path: look_at_keys(path, digest)),
        Target(
            "partial keys file",
            folder / "half-keys.h5.part",
            lambda path: look_at_journal(path, job, digest),
        ),
    ]


def noticed(*looks: Callable[[], str]) -> str:
    """What the looks noticed: a sentence of ours counts, any other exception goes through."""
    found = []
    for look in looks:
        try:
            found.append(look())
        except CaligoError as error:
            if "\n" in str(error):
                raise WrongData(f"more than a sentence: {error}") from error
            found.append(str(error))
    return "; ".join(filter(None, found))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise WrongData(what)


def look_at_pairs(path: Path, data: tuple[str, str], digest: str) -> str:
    def reading() -> str:
        with open_pairs(path) as file:
            file.tally()
            if not file.digest_fits():
                return "the digest does not fit"
        _require(pairs_hash(path) == data[1], "a checking reader gave other pairs")
        return ""

    def distilling() -> str:
        job = distill.prepare(path, parse_protocol(KEYS))
        file = open_pairs(path)
        for block in job.plan:
            file = file.reopened()
            block_work.read_block(file, job.source, block)
        _require(job.source.data_digest == data[0], "keys would be made of other pairs")
        if not damaged:
            made = path.with_name("made.h5")
            made.unlink(missing_ok=True)
            done = distill.distill(job, made).keys
            _require(done is not None and done.digest == digest, "other keys came out")
        return ""

    damaged = noticed(
        lambda: "" if verify_file(path).ok else "verify: damaged",
        lambda: "" if status(path).data_digest == data[0] else "another digest is shown",
        reading,
    )
    return noticed(lambda: damaged, distilling)


def look_at_partial(path: Path, data: tuple[str, str]) -> str:
    def reading() -> str:
        with open_pairs(path) as file:
            file.tally()
        return ""

    def resuming() -> str:
        copy = path.with_name("resumed.h5.part")
        for old in path.parent.glob("resumed.h5*"):
            old.unlink()
        shutil.copy(path, copy)
        done = generate.generate(parse_config(RUN), path.with_name("resumed.h5"))
        found = done.status.data_digest, pairs_hash(done.status.path)
        _require(
            found == data and verify_file(done.status.path).ok, "the resumed run has other pairs"
        )
        told = [message for message in done.messages if "resuming" not in message]
        return "; ".join(told)

    return noticed(
        lambda: "" if verify_file(path).ok else "verify: damaged",
        lambda: status(path).owner,
        reading,
        resuming,
    )


def look_at_keys(path: Path, digest: str) -> str:
    def reading() -> str:
        _require(read_keys(path).digest == digest, "a checking reader gave other keys")
        return ""

    def showing() -> str:
        found = keys_status(path).keys
        _require(found is not None and found.digest == digest, "other keys are shown")
        return ""

    return noticed(lambda: "" if verify_keys(path).ok else "verify: damaged", reading, showing)


def look_at_journal(path: Path, job: distill.Job, digest: str) -> str:
    def resuming() -> str:
        copy = path.with_name("resumed-keys.h5.part")
        for old in path.parent.glob("resumed-keys.h5*"):
            old.unlink()
        shutil.copy(path, copy)
        done = distill.distill(job, path.with_name("resumed-keys.h5"))
        _require(done.keys is not None and done.keys.digest == digest, "other keys came out")
        return "a block was redone" if done.launched > KEYS["block_size"] else ""

    return noticed(
        lambda: "" if verify_keys(path).ok else "verify: torn",
        lambda: keys_status(path).owner,
        resuming,
    )


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────


def regions(path: Path) -> dict[str, dict[str, list[range]]]:
    """The bytes of a file: ``headers`` are what `walk` checks, ``tables`` data but the pairs, ``gaps`` the rest."""
    size = path.stat().st_size
    if path.read_bytes()[:4] != b"\x89HDF":
        return {"headers": {"the journal": [range(size)]}}
    fd = os.open(path, os.O_RDONLY)
    try:
        seen: list[range] = []
        nodes = walk.walk(fd, seen.append)
    finally:
        os.close(fd)
    places = {name: node for name, node in nodes.items() if isinstance(node, walk.Place)}
    data = {name: range(node.offset, node.offset + node.size) for name, node in places.items()}
    tables = {
        f"/{name}": [span]
        for name, span in data.items()
        if not name.startswith("pairs/") and len(span)
    }
    taken = sorted([*seen, *data.values()], key=lambda span: (span.start, span.stop))
    gaps, end = [], 0
    for span in taken:
        if span.start > end:
            gaps.append(range(end, span.start))
        end = max(end, span.stop)
    return {"headers": {"headers": seen}, "tables": tables, "gaps": {"gaps": gaps} if gaps else {}}


def flips(path: Path, number: int, rng: random.Random) -> Iterator[tuple[str, int, int]]:
    """Place, byte and bit of ``number`` flips."""
    places = {name: spans for name, spans in regions(path).items() if spans}
    weights = [WEIGHTS[name] for name in places]
    for _ in range(number):
        kind = places[rng.choices(list(places), weights)[0]]
        name = rng.choice(list(kind))
        # Small spans count as much as large ones: what is rare is to be hit, too.
        yield name, rng.choice(rng.choice(kind[name])), rng.randrange(8)


def cuts(path: Path, number: int, rng: random.Random) -> Iterator[tuple[str, int, int]]:
    for _ in range(number):
        yield "cut", rng.randrange(path.stat().st_size), -1


# ── the campaign ─────────────────────────────────────────────────────────────────────────────────────────────


def campaign(
    folder: Path, *, flip: int, cut: int, seed: int, say: Callable[[str], None] = print
) -> list[Damage]:
    """Damage every target ``flip`` and ``cut`` times."""
    found = []
    for target in targets(folder):
        rng = random.Random(f"{seed} {target.name}")
        todo = [*flips(target.path, flip, rng), *cuts(target.path, cut, rng)]
        found.append(_batter(target, todo))
        say(line(found[-1]))
    return found


def _batter(target: Target, todo: Iterable[tuple[str, int, int]]) -> Damage:
    damage = Damage(target.name)
    rest = list(todo)
    while rest:
        ours, theirs = multiprocessing.Pipe()
        worker = multiprocessing.get_context("fork").Process(
            target=_work, args=(target, rest, theirs)
        )
        worker.start()
        theirs.close()
        done = _collect(damage, rest, ours)
        if done < len(rest):
            # Nobody answered for this one.
            blow = f"{rest[done][0]}, byte {rest[done][1]}, bit {rest[done][2]}"
            worker.join(1.0)
            (damage.hangs if worker.is_alive() else damage.crashes).append(
                f"{blow} (exit code {worker.exitcode})"
            )
            worker.kill()
            damage.tried += 1
        worker.join()
        rest = rest[done + 1 :]
    return damage


def _collect(damage: Damage, todo: list[tuple[str, int, int]], answers: Connection) -> int:
    """Take the worker's answers, and count them."""
    for number, (name, byte, bit) in enumerate(todo):
        if not answers.poll(HANG_SECONDS):
            return number
        try:
            kind, text = answers.recv()
        except EOFError:
            return number
        damage.tried += 1
        if kind == "wrong":
            damage.wrong.append(f"{name}, byte {byte}, bit {bit}: {text}")
        elif not text:
            damage.silent[name] += 1
        else:
            damage.refused += 1
    return len(todo)


def _work(target: Target, todo: list[tuple[str, int, int]], answers: Connection) -> None:
    content = target.path.read_bytes()
    suffix = ".h5.part" if target.path.suffix == ".part" else ".h5"
    copy = target.path.with_name(f"damaged{suffix}")
    for _, byte, bit in todo:
        damaged = bytearray(content)
        if bit < 0:
            del damaged[byte:]
        else:
            damaged[byte] ^= 1 << bit
        copy.write_bytes(damaged)
        try:
            answers.send(("", target.look(copy)))
        except Exception as error:  # whatever is no sentence of ours is a defect
            answers.send(("wrong", f"{type(error).__name__}: {error}"))


def line(damage: Damage) -> str:
    """One row of the campaign's table."""
    silent = ", ".join(f"{count} in {name}" for name, count in damage.silent.items()) or "0"
    bad = [len(damage.wrong), len(damage.hangs), len(damage.crashes)]
    return (
        "| "
        + " | ".join(map(str, [damage.name, damage.tried, damage.refused, silent, *bad]))
        + " |"
    )


HEAD = "| file | tried | noticed | silent | wrong data | hangs | crashes |\n|---|---|---|---|---|---|---|"
