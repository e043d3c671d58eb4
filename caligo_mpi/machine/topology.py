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
        kinds = {
            "core": self.cores,
            "socket": self.sockets,
            "numa": self.nodes,
        }
        return kinds[kind]


def topology(allowed: Iterable[int], system: Path = _SYSTEM) -> Topology:
    """The processors in ``allowed``, grouped; what the kernel does not tell is taken for one group of all."""
    cpus = frozenset(allowed)
    cores = []
    sockets: dict[str, set[int]] = {}
    for cpu in sorted(cpus):
        about = system / "cpu" / f"cpu{cpu}" / "topology"
        siblings = _list_in(about / "thread_siblings_list") & cpus
        cores.append(siblings or frozenset([cpu]))
        socket = _text_in(about / "physical_package_id")
        sockets.setdefault(socket, set()).add(cpu)
    nodes = []
    for path in _node_lists(system):
        node = _list_in(path) & cpus
        if node:
            nodes.append(node)
    return Topology(
        cores=_ordered(cores),
        sockets=_ordered(map(frozenset, sockets.values())),
        nodes=_ordered(nodes) if nodes else (cpus,),
    )


def online(system: Path = _SYSTEM) -> Cpus:
    """All processors of the host that are switched on; those of this process where the kernel does not tell."""
    told = _list_in(system / "cpu" / "online")
    return told or frozenset(os.sched_getaffinity(0))


def remote_bytes(cpus: Iterable[int], system: Path = _SYSTEM, maps: Path = _OWN_MAPS) -> int:
    """Bytes of this process's memory on NUMA nodes that none of ``cpus`` belongs to; 0 where nobody tells."""
    allowed = frozenset(cpus)
    nodes = _node_lists(system)
    own = set()
    for path in nodes:
        if _list_in(path) & allowed:
            name = path.parent.name
            own.add(name.removeprefix("node"))
    if len(nodes) < 2 or not own:
        return 0
    remote = 0
    for line in _text_in(maps).splitlines():
        found = re.search(r"kernelpagesize_kB=(\d+)", line)
        page = 1024 * int(found[1]) if found else 4096
        for node, count in re.findall(r"\bN(\d+)=(\d+)", line):
            if node not in own:
                remote += page * int(count)
    return remote


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers as ranges.

    >>> ranges([3, 0, 1, 2, 8])
    '0-3,8'
    """
    parts: list[list[int]] = []
    for number in sorted(numbers):
        follows = parts and number == parts[-1][1] + 1
        if follows:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    words = []
    for first, last in parts:
        word = f"{first}"
        if last > first:
            word += f"-{last}"
        words.append(word)
    return ",".join(words)


def in_ranges(text: str) -> Cpus:
    """The numbers of such ranges.

    >>> sorted(in_ranges("0-2,8"))
    [0, 1, 2, 8]
    """
    found: set[int] = set()
    parts = text.strip().split(",")
    for part in filter(None, parts):
        first, _, last = part.partition("-")
        start = int(first)
        stop = int(last or first) + 1
        found.update(range(start, stop))
    return frozenset(found)


def _ordered(groups: Iterable[Cpus]) -> tuple[Cpus, ...]:
    different = set(groups)
    return tuple(sorted(different, key=min))


def _node_lists(system: Path) -> list[Path]:
    folder = system / "node"
    return sorted(folder.glob("node[0-9]*/cpulist"))


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
