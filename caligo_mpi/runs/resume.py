"""Going on with a file that is not finished, by what stands in it: no configuration is needed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from .. import store
from ..config import OutputConfig, RunConfig
from ..config.protocol import parse_protocol
from ..config.settings import from_environment, mpi_settings, restarts_setting, settled
from ..errors import ConfigError, StoreError
from ..store.keys import is_keys_file, keys_status
from .distill import DistillJob, prepare
from .generate import GenerateJob


def unfinished(file: str | os.PathLike[str]) -> Path:
    """The file to go on with: the partial one if there is one, else the one that is named."""
    path = store.input_name(file)
    part = store.part_path(store.final_path(path))
    return part if part.exists() else path


def holds_keys(file: str | os.PathLike[str]) -> bool:
    """Whether it is a keys file; what cannot be read is not, and is complained of later."""
    try:
        return is_keys_file(unfinished(file))
    except StoreError:
        return False


def generate_job(
    file: str | os.PathLike[str],
    line: list[str],
    overrides: Sequence[str] = (),
) -> GenerateJob:
    """The run that a pairs file is of; ``line`` is the ranks' command line.

    Settings are the file's, then the environment's, then ``overrides``.

    Raises `StoreError` where the file cannot be read, and `ConfigError` for a sequential simulation.
    """
    info = store.status(unfinished(file)).info
    path = store.final_path(store.input_name(file))
    if "sequential" in info.engine:
        raise ConfigError(
            f"{path} is one sequential simulation, of which nothing is kept in between; "
            "run caligo-mpi sequential again"
        )
    config = RunConfig.from_json(info.config)
    # The file keeps what it keeps, and is pressed to disk as before; its name may have changed.
    output = OutputConfig(durability=config.output.durability, keep=info.keep)
    config = config.model_copy(update={"output": output})
    config = settled(config, [*from_environment(), *overrides])
    return GenerateJob(config, path, line)


def distill_job(
    file: str | os.PathLike[str],
    line: list[str],
    overrides: Sequence[str] = (),
    *,
    yes: bool,
) -> DistillJob:
    """The keys that a keys file is of; its pairs file must lie beside it.

    Raises `StoreError` where one of the two cannot be read, or it is another pairs file.
    """
    info = keys_status(unfinished(file)).info
    path = store.final_path(store.input_name(file))
    source = path.parent / info.source
    if not source.exists():
        raise StoreError(
            f"{path} is made of {info.source}, which is not beside it; "
            "put it there, or name it: caligo-mpi distill PAIRS with the same options"
        )
    config = parse_protocol(json.loads(info.config))
    chosen = info.software.get("chosen", "")
    task = prepare(
        source,
        config,
        yes=yes,
        chosen=str(chosen),
    )
    if task.source.data_digest != info.source_digest:
        raise StoreError(
            f"{path} is made of another {info.source} than the one beside it; put the right one there"
        )
    return DistillJob(
        task,
        path,
        line,
        restarts=restarts_setting(),
        mpi=mpi_settings(overrides),
    )
