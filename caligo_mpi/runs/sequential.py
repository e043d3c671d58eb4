"""End-to-end validation: pairs and protocol in one NetSquid simulation, into one pairs file with a transcript.

The rows are stored as ever, so every reader and check of pairs files works; the messages that Alice and Bob
exchanged, with simulated times, are the file's ``transcript`` attribute.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import store
from ..config import NetsquidConfig, RunConfig, SequentialConfig
from ..engines import make_engine
from ..errors import ConfigError, StoreError
from ..pairs import Chunk
from .chunks import chunk_result
from .identity import run_info

if TYPE_CHECKING:
    from ..engines.netsquid.sequential import SequentialResult, TraceEvent

#: One simulation cannot be cut into chunks, and its memory grows with it.
MOST_PAIRS = 1_000_000


_TRACE_HEAD = "time_ns\tparty\tevent\n"


@dataclass(frozen=True, slots=True)
class Sequential:
    """What a sequential run gave; ``qber`` is that of the test, None where nothing was tested."""

    status: store.Status
    tested: int
    errors: int
    abort: str | None
    messages: int
    duration_ns: float


def run_sequential(
    config: RunConfig,
    path: str | os.PathLike[str],
    *,
    trace: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Sequential:
    """Simulate Alice and Bob, from pairs to the decision to go on, and write ``path``; ``trace`` is the event log.

    Raises `ConfigError` for another engine, `EnvironmentProblem` without NetSquid, `StoreError`.
    """
    if config.until is not None:
        raise ConfigError("until is for generate; give sequential its pairs")
    path = Path(path)
    info = _info_for(config, path)
    trace = None if trace is None else _trace_name(trace)
    store.preflight(path, info, force=force)
    if not force and store.completed(path, info):
        raise ConfigError(
            f"{path} is complete already; choose another output or set it aside with --force"
        )
    begin = time.perf_counter()
    result = _simulate(config, info.stream_version)
    chunk = Chunk(0, 0, config.pairs)
    chunk_done = chunk_result(chunk, result.pairs, seconds=time.perf_counter() - begin)
    info = replace(info, notes=_notes(result))
    with store.PairStore.open(path, info, launch=info.software, force=force) as pair_store:
        if not pair_store.is_complete:
            pair_store.append(chunk_done, rank=0)
        pair_store.finish()
    if trace is not None:
        _write_trace(trace, result.trace)
    return Sequential(
        status=store.status(path),
        tested=len(result.tested),
        errors=result.errors,
        abort=result.abort,
        messages=len(result.transcript),
        duration_ns=result.pairs.duration_ns,
    )


def _notes(result: SequentialResult) -> dict[str, str]:
    """What the file says of the messages and of the test, as JSON."""
    transcript = [asdict(message) for message in result.transcript]
    return {
        "transcript": json.dumps(transcript),
        "test": json.dumps(_test(result)),
    }


def _simulate(config: RunConfig, stream_version: int) -> SequentialResult:
    from ..engines.netsquid import sequential

    assert isinstance(config.engine, NetsquidConfig)
    seed = Chunk(0, 0, config.pairs).seed_sequence(config.seed)
    return sequential.run_sequential(
        config.engine,
        _protocol(config),
        pairs=config.pairs,
        seed=seed,
        stream_version=stream_version,
    )


def _protocol(config: RunConfig) -> SequentialConfig:
    return config.sequential or SequentialConfig()


def _test(result: SequentialResult) -> dict[str, object]:
    return {
        "rows": result.tested.tolist(),
        "errors": result.errors,
        "abort": result.abort,
    }


def _info_for(config: RunConfig, path: str | os.PathLike[str]) -> store.RunInfo:
    """What the file is to say, with the older random streams where the one at ``path`` was begun with them."""
    info = _info(config)
    for older in getattr(make_engine(config.engine), "older_streams", ()):
        with contextlib.suppress(StoreError):
            found = _info(config, older)
            if store.status(path).info.config_digest == found.config_digest:
                return found
    return info


def _info(config: RunConfig, stream_version: int | None = None) -> store.RunInfo:
    """As of a run of one chunk; its identity holds the protocol, too, since latency moves pairs in time."""
    if not isinstance(config.engine, NetsquidConfig):
        raise ConfigError(
            f"engine.name={config.engine.name}: a sequential run is a NetSquid simulation; set engine.name to netsquid"
        )
    if config.pairs > MOST_PAIRS:
        raise ConfigError(
            f"pairs={config.pairs}: a sequential run is one simulation; at most {MOST_PAIRS:_} pairs"
        )
    if config.output.keep != "pairs":
        raise ConfigError(
            f"output.keep={config.output.keep}: a sequential simulation has no chunks that could be made again; "
            "set output.keep to pairs"
        )
    engine = make_engine(config.engine, stream_version=stream_version)
    info = run_info(config, engine)
    protocol = _protocol(config).model_dump()
    identity = json.dumps([info.config_digest, config.pairs, protocol])
    return replace(
        info,
        engine=f"{info.engine}, sequential",
        declared=(),
        config_digest=hashlib.sha256(identity.encode()).hexdigest(),
        chunk_size=-(-config.pairs // 8) * 8,
    )


def _trace_name(trace: str | os.PathLike[str]) -> Path:
    """Where the trace goes; `StoreError` where something stands that is no earlier trace."""
    path = store.output_name(trace)
    store.require_directory(path)
    if path.exists():
        with path.open("rb") as file:
            if file.read(len(_TRACE_HEAD)) != _TRACE_HEAD.encode():
                raise store.StoreError(
                    f"{path} exists and is no trace; it is not overwritten: choose another name"
                )
    return path


def _write_trace(path: Path, events: Iterable[TraceEvent]) -> None:
    lines = [f"{event.time_ns:.3f}\t{event.party}\t{event.what}\n" for event in events]
    path.write_text(_TRACE_HEAD + "".join(lines), encoding="utf-8")
