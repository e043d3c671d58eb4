"""The processors of this host as the kernel describes them: cores, sockets, NUMA nodes, and where memory is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = Path("/sys/devices/system")
_OWN_MAPS = Path("/proc/self/numa_maps")

Cpus = frozenset[int]


@dataclass(frozen=True, slots=True)
class Topology:
    """Processors (numbers of the kernel) by physical core, socket and NUMA node, each group in order."""

    cores: tuple[Cpus, ...]
    sockets: tuple[Cpus, ...]
    nodes: tuple[Cpus, ...]

    def groups(self, kind: str) -> tuple[Cpus, ...]:
        """Those of a kind: ``core``, ``socket`` or ``numa``."""
        return {"core": self.cores, "socket": self.sockets, "numa": self.nodes}[kind]


def topology(allowed: Iterable[int], system: Path = _SYSTEM) -> Topology:
    """The processors in ``allowed``, grouped; what the kernel does not tell is taken for one group of all."""
    cpus = frozenset(allowed)
    core, socket = {}, {}
    for cpu in cpus:
        about = system / "cpu" / f"cpu{cpu}" / "topology"
        core[cpu] = _list_in(about / "thread_siblings_list") & cpus or frozenset([cpu])
        socket[cpu] = _text_in(about / "physical_package_id")
    by_socket: dict[str, set[int]] = {}
    for cpu in sorted(cpus):
        by_socket.setdefault(socket[cpu], set()).add(cpu)
    nodes = [_list_in(path) & cpus for path in _node_lists(system)]
    known = [node for node in nodes if node]
    return Topology(
        cores=_ordered(core.values()),
        sockets=_ordered(map(frozenset, by_socket.values())),
        nodes=_ordered(known) if known else (cpus,),
    )


def online(system: Path = _SYSTEM) -> Cpus:
    """All processors of the host that are switched on; those of this process where the kernel does not tell."""
    return _list_in(system / "cpu" / "online") or frozenset(os.sched_getaffinity(0))


def remote_bytes(cpus: Iterable[int], system: Path = _SYSTEM, maps: Path = _OWN_MAPS) -> int:
    """Bytes of this process's memory on NUMA nodes that none of ``cpus`` belongs to; 0 where nobody tells."""
    allowed = frozenset(cpus)
    numbers = {int(path.parent.name[4:]): _list_in(path) for path in _node_lists(system)}
    own = {number for number, node in numbers.items() if node & allowed}
    if len(numbers) < 2 or not own:
        return 0
    remote = 0
    for line in _text_in(maps).splitlines():
        found = re.search(r"kernelpagesize_kB=(\d+)", line)
        page = 1024 * int(found[1]) if found else 4096
        pages = re.findall(r"\bN(\d+)=(\d+)", line)
        remote += page * sum(int(count) for node, count in pages if int(node) not in own)
    return remote


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers as ranges.

    >>> ranges([3, 0, 1, 2, 8])
    '0-3,8'
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def in_ranges(text: str) -> Cpus:
    """The numbers of such ranges.

    >>> sorted(in_ranges("0-2,8"))
    [0, 1, 2, 8]
    """
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _ordered(groups: Iterable[Cpus]) -> tuple[Cpus, ...]:
    return tuple(sorted(set(groups), key=min))


def _node_lists(system: Path) -> list[Path]:
    return sorted((system / "node").glob("node[0-9]*/cpulist"))


def _list_in(path: Path) -> Cpus:
    try:
        return in_ranges(_text_in(path))
    except ValueError:
        return frozenset()


def _text_in(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
