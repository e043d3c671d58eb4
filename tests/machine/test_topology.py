"""Cores, sockets and NUMA nodes as a kernel describes them, on trees of files as large machines have them."""

from __future__ import annotations

import os

import pytest

from caligo_mpi.machine.topology import in_ranges, online, ranges, remote_bytes, topology


@pytest.fixture
def system(tmp_path):
    """Two sockets of two cores with two hardware threads each; a NUMA node per socket."""
    threads = {0: (0, 4), 1: (1, 5), 2: (2, 6), 3: (3, 7)}
    for core, cpus in threads.items():
        for cpu in cpus:
            about = tmp_path / "cpu" / f"cpu{cpu}" / "topology"
            about.mkdir(parents=True)
            (about / "thread_siblings_list").write_text(f"{cpus[0]},{cpus[1]}\n")
            (about / "physical_package_id").write_text(f"{core // 2}\n")
    (tmp_path / "cpu" / "online").write_text("0-7\n")
    for node, cpus in enumerate(("0-1,4-5", "2-3,6-7")):
        (tmp_path / "node" / f"node{node}").mkdir(parents=True)
        (tmp_path / "node" / f"node{node}" / "cpulist").write_text(cpus + "\n")
    return tmp_path


def test_a_large_machine(system):
    found = topology(range(8), system)
    assert [sorted(core) for core in found.cores] == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert [sorted(socket) for socket in found.sockets] == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert found.groups("numa") == found.sockets
    assert online(system) == frozenset(range(8))


def test_only_what_is_allowed_is_found(system):
    found = topology([0, 2, 6], system)
    assert [sorted(core) for core in found.cores] == [[0], [2, 6]]
    assert [sorted(node) for node in found.nodes] == [[0], [2, 6]]


def test_a_kernel_that_tells_nothing(tmp_path):
    found = topology([3, 5], tmp_path)
    assert [sorted(core) for core in found.cores] == [[3], [5]]
    assert found.sockets == found.nodes == (frozenset([3, 5]),)
    assert online(tmp_path) == frozenset(os.sched_getaffinity(0))


def test_memory_on_another_node(system, tmp_path):
    maps = tmp_path / "numa_maps"
    maps.write_text(
        "5570 default file=/bin/python mapped=2 N0=2 kernelpagesize_kB=4\n"
        "7f00 default anon=30 dirty=30 N0=10 N1=20 kernelpagesize_kB=4\n"
        "7f80 default anon=1 N1=1 kernelpagesize_kB=2048\n"
    )
    assert remote_bytes([0, 4], system, maps) == 20 * 4096 + (2 << 20)
    assert remote_bytes([2], system, maps) == 12 * 4096
    assert remote_bytes(range(8), system, maps) == 0
    assert remote_bytes([0], system, tmp_path / "none") == 0
    assert remote_bytes(os.sched_getaffinity(0)) >= 0


@pytest.mark.parametrize("text", ["0", "0-3", "1,3,5", "0-1,8-11"])
def test_ranges_are_read_as_they_are_written(text):
    assert ranges(in_ranges(text)) == text
