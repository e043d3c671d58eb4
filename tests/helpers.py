"""What tests and fixtures share."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from caligo_mpi import status, store
from caligo_mpi.parallel.job import Progress, Rules
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.runs.job import Observer

ROOT = Path(__file__).parent.parent
PLUGINS = Path(__file__).parent / "plugins"


def environment(**extra: str) -> dict[str, str]:
    """The environment of a subprocess: finds this package and the test engines."""
    paths = [str(ROOT), str(PLUGINS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **extra}


def names(folder: Path | str) -> list[str]:
    """Names in a folder, sorted."""
    return sorted(path.name for path in Path(folder).iterdir())


def identity(path: Path) -> tuple[str, str]:
    """What may not depend on how a pairs file came to be: the digest of its records and the hash of its rows."""
    return status(path).data_digest, store.pairs_hash(path)


def wait_for_chunks(
    path: Path, chunks: int, process: subprocess.Popen[str] | None = None, timeout: float = 60
) -> None:
    """Until a running file has this many committed chunks; the ``process`` that writes it must not end before."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if chunks_done(path) >= chunks:
            return
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended before chunk {chunks} of {path}: {process.communicate()}")
        time.sleep(0.01)
    raise AssertionError(f"{path} did not reach {chunks} chunks")


def chunks_done(path: Path) -> int:
    """Committed chunks of a partial file; -1 while there is none or it is being created."""
    if not path.with_name(path.name + ".part").exists():
        return -1
    try:
        return status(path).chunks_done
    except store.StoreError:
        return -1


def one_sentence(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command was used wrongly, and said so in one line with these words."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def flip_bit(path: Path, byte: int, bit: int = 3) -> None:
    """Flip one bit of a file, behind everyone's back."""
    with path.open("r+b") as file:
        file.seek(byte)
        value = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([value ^ 1 << bit]))


#: The examples that configure runs; the others configure protocols.
RUN_CONFIGS = sorted(
    path
    for path in (ROOT / "configs").glob("*.yaml")
    if not {"mode:", "axes:"}
    & {line.split(" ")[0] for line in path.read_text("utf-8").splitlines()}
)


class Recorder(Observer):
    """An observer that keeps what it is told, and passes progress on to ``report``."""

    def __init__(self, report: Callable[[Progress], object] = lambda progress: None) -> None:
        super().__init__()
        self.said: list[str] = []
        self.reports: list[Progress] = []
        self._report = report

    def say(self, message: str) -> None:
        self.said.append(message)

    def progress(self, where: Progress) -> None:
        self.reports.append(where)
        self._report(where)


def stopping_after(items: int) -> Callable[..., object]:
    """A map that is asked to stop once so many items are in."""
    done: list[int] = []

    def some(setup, todo):
        rules = Rules(stop=lambda: int(len(done) >= items))
        for found in serial_map(setup, todo, rules):
            done.append(1)
            yield found

    return some


def of_version_1(job: Any) -> Any:
    """The job as the first version of the protocol's random streams had it."""
    return replace_version(job, 1)


def replace_version(job: Any, version: int) -> Any:
    """The job as that version of the protocol's random streams had it."""
    premises = replace(job.source.premises, stream_version=version)
    info = replace(job.info, stream_version=version)
    return replace(job, info=info, source=replace(job.source, premises=premises))
