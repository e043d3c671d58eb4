"""The metadata of files that are not laid out as we write them: read with HDF5, in a child process.

Damaged metadata can make HDF5 hang, crash, or ask for all memory there is.  The child has limits of time and memory,
and what it says is all that the caller takes from the file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import StoreError
from ..machine.environment import without
from .messages import Broken, Place, Value

#: The child's processor time is limited to a few seconds; this is for machines that are busy with other things.
_PATIENCE_S = 60.0

# Where the batch system or MPI started us, the child is not to take itself for a rank.
_RANK_PREFIXES = ("OMPI_", "PMIX_", "PMI_", "HYDRA_", "HYDI_", "MPI_")

# `-c` puts the current directory first on the path; nothing is to be imported from there.
_START = "import sys; sys.path[:] = filter(None, sys.path); exec(open(sys.argv[1], encoding='utf-8').read())"


@dataclass(frozen=True, slots=True)
class Found:
    """The datasets, and the attributes of groups and datasets by their names, empty for the root."""

    places: dict[str, Place]
    described: dict[str, dict[str, Value]]


def probe(fd: int, path: Path, why: str) -> Found:
    """Read the metadata of the file behind ``fd``; ``why`` says what is unusual about it.

    `Broken` where the child crashes, hangs or complains; `StoreError` where data are not simply in the file.
    """
    answer = _asked(fd, path, why)
    if "refused" in answer:
        raise StoreError(f"{path} is not read: {answer['refused']}")
    if "error" in answer:
        raise Broken(answer["error"])
    size = os.fstat(fd).st_size
    described = answer["described"]
    places = {}
    for name, entry in answer["datasets"].items():
        places[name] = _place(name, entry, described[name], size)
    return Found(places, described)


def _asked(fd: int, path: Path, why: str) -> Any:
    """What the child answers."""
    script = Path(__file__).with_name("probe_child.py")
    line = [
        sys.executable,
        "-c",
        _START,
        str(script),
    ]
    try:
        child = subprocess.run(
            line,
            stdin=fd,
            capture_output=True,
            env=without(*_RANK_PREFIXES, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"),
            timeout=_PATIENCE_S,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise Broken(
            f"{why}, and its metadata could not be read within {_PATIENCE_S:.0f} s"
        ) from None
    except OSError as error:
        reason = f"no process could be started to look at it: {error.strerror}"
        raise StoreError(f"{path} cannot be read ({why}, and {reason})") from error
    if child.returncode:
        raise Broken(f"{why}, and HDF5 {_end(child.returncode)} when it reads its metadata")
    return json.loads(child.stdout)


def _end(code: int) -> str:
    """What a child that did not answer came to."""
    if -code in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
        return "hangs"
    if code >= 0:
        return f"fails (exit code {code})"
    return f"crashes ({signal.Signals(-code).name})"


def _place(
    name: str,
    entry: list[Any],
    attributes: dict[str, Value],
    file_size: int,
) -> Place:
    fields, shape, offset = entry
    if isinstance(fields, list):
        fields = [tuple(field) for field in fields]
    place = Place(
        np.dtype(fields),
        tuple(shape),
        offset,
        attributes,
    )
    if offset + place.size > file_size:
        raise Broken(
            f"it is truncated: /{name} of {place.size} bytes does not fit into {file_size} bytes"
        )
    return place
