"""Reads the metadata of the HDF5 file on its standard input and prints them as JSON; a program of its own.

It may hang or crash: `probe` starts it for that.  It imports nothing of this package, so that it starts fast.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import Any

import h5py
import numpy as np

_CPU_SECONDS = 3
_WALL_SECONDS = 60
_MEMORY_BYTES = 1 << 30
_MOST_OBJECTS = 64
_MOST_DEPTH = 2
_MOST_ATTRIBUTES = 1000
_MOST_TEXT = 16 << 20


class Refused(ValueError):
    """The file may be in order, and is not read."""


def main() -> None:
    """Limit this process, then look."""
    _limit()
    try:
        with h5py.File("/dev/fd/0", "r") as file:
            answer = _answer(file)
        text = json.dumps(answer)
    except MemoryError:
        text = json.dumps({"error": "its metadata do not fit into memory"})
    except Refused as error:
        text = json.dumps({"refused": str(error)})
    except Exception as error:  # damaged metadata come out of h5py as nearly any exception
        words = str(error).split()
        text = json.dumps({"error": " ".join(words)})
    if len(text) > _MOST_TEXT:
        text = json.dumps({"error": "its metadata are larger than 16 MiB"})
    sys.stdout.write(text)


def _limit() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        pages, *_ = file.read().split()
    taken = int(pages) * resource.getpagesize()
    _limit_one(resource.RLIMIT_CPU, spent + _CPU_SECONDS)
    _limit_one(resource.RLIMIT_AS, taken + _MEMORY_BYTES)
    _limit_one(resource.RLIMIT_CORE, 0)
    signal.alarm(_WALL_SECONDS)


def _limit_one(kind: int, value: int) -> None:
    """Limit this process to ``value``, or to what it is limited to already."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, hard))


def _answer(file: h5py.File) -> dict[str, dict[str, object]]:
    """Datasets and attributes of everything that hard links lead to."""
    datasets: dict[str, object] = {}
    described: dict[str, object] = {"": _attributes(file)}
    waiting = [("", file, 0)]
    while waiting:
        path, group, depth = waiting.pop()
        for name in group:
            where = f"{path}/{name}".lstrip("/")
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise Refused(
                    f"/{where} is a soft or external link; only data in the file itself are read"
                )
            if len(described) > _MOST_OBJECTS or depth > _MOST_DEPTH:
                raise ValueError("it has more objects than a file of ours")
            found = group[name]
            described[where] = _attributes(found)
            if isinstance(found, h5py.Dataset):
                datasets[where] = _place(where, found)
            elif isinstance(found, h5py.Group):
                waiting.append((where, found, depth + 1))
            else:
                raise ValueError(f"/{where} is neither a group nor a dataset")
    return {"datasets": datasets, "described": described}


def _place(where: str, dataset: h5py.Dataset) -> list[object]:
    if dataset.external or dataset.is_virtual:
        raise Refused(f"/{where} is stored in other files; only data in the file itself are read")
    plan = dataset.id.get_create_plist()
    if plan.get_layout() != h5py.h5d.CONTIGUOUS:
        raise Refused(
            f"/{where} is compressed or in pieces; h5repack -l CONTI -f NONE makes a file that is read"
        )
    if dataset.dtype.hasobject:
        raise ValueError(f"/{where} holds references or text of variable length")
    offset = dataset.id.get_offset()
    if offset is None and dataset.size:
        raise ValueError(f"/{where} has no data")
    kind = _type(where, dataset.dtype)
    return [kind, list(dataset.shape), offset or 0]


def _type(where: str, kind: np.dtype) -> str | list[tuple[str, str]]:
    """As numpy makes it again; numpy's own description holds what h5py notes in types, too."""
    if kind.names is None:
        return str(kind.str)
    known: dict[str, Any] = dict(kind.fields or {})
    found = []
    end = 0
    for name in kind.names:
        field, offset = known[name][:2]
        if offset != end:
            raise ValueError(f"/{where} has gaps between its columns")
        found.append((name, field))
        end += field.itemsize
    if kind.itemsize != end:
        raise ValueError(f"/{where} has gaps between its columns")
    if any(field.kind not in "iufS" for _, field in found):
        raise ValueError(f"/{where} has columns of a type that we do not write")
    return [(name, field.str) for name, field in found]


def _attributes(owner: h5py.Group | h5py.Dataset) -> dict[str, object]:
    attributes = owner.attrs
    number = len(attributes)
    if number > _MOST_ATTRIBUTES:
        raise ValueError(f"it has {number} attributes")
    return {name: _value(attributes[name]) for name in attributes}


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.ndim <= 1:
        return value.tolist()
    return repr(value)


main()
