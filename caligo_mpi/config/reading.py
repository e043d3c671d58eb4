"""From YAML, mappings and ``--set`` to a `RunConfig`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .complaints import equals
from .run import SHORTHANDS, RunConfig, validated
from .strict_yaml import comment_in, dump_yaml, parse_yaml

#: The most bytes that a configuration file may have.
MOST_BYTES = 1 << 20
_STARTER = "`caligo-mpi init` writes a starter"


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a YAML file, after ``overrides`` like ``"engine.link.fidelity=0.97"``.

    Raises one `ConfigError` with everything that is wrong, a line each.
    """
    return _parse(read_yaml(path, remedy=_STARTER), overrides, source=os.fspath(path))


def read_yaml(path: str | os.PathLike[str], *, remedy: str) -> Any:
    """The document in a YAML file of a reasonable size.

    Raises `ConfigError` where it cannot be read; ``remedy`` is what to do then.
    """
    source = os.fspath(path) or "''"
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{source}: cannot be read: {reason}; {remedy}") from None
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"{source}: larger than {MOST_BYTES:_} bytes; not a configuration")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: not UTF-8 text; a configuration is a YAML file") from None
    return parse_yaml(text, source=source)


def parse_config(mapping: Mapping[str, Any], overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a mapping, as `load_config` reads it from a file.

    >>> link = {"fidelity": 0.97}
    >>> config = parse_config({"pairs": "1e6", "seed": 1, "engine": {"name": "noise", "link": link}})
    >>> config.pairs, config.chunk_size
    (1000000, 16777216)
    """
    return _parse(mapping, overrides, source="configuration")


def dump_config(config: RunConfig) -> str:
    """The resolved configuration as YAML, which `load_config` reads back."""
    return dump_yaml(config.resolved())


def _parse(data: object, overrides: Sequence[str], *, source: str) -> RunConfig:
    if data is None:
        raise ConfigError(f"{source}: is empty; {_STARTER}")
    if isinstance(data, Mapping):
        for override in overrides:
            data = overridden(data, override)
    return validated(
        data,
        source=source,
        overrides=overridden_paths(overrides),
        installed=True,
    )


def overridden_paths(overrides: Sequence[str]) -> list[str]:
    """The keys that ``path=value`` overrides name."""
    return [override.partition("=")[0].strip() for override in overrides]


def overridden(
    data: Mapping[str, Any],
    override: str,
    *,
    example: str = "engine.link.fidelity=0.97",
) -> dict[str, Any]:
    """A copy of ``data`` in which one ``path=value`` holds.

    Sections are made where there are none.  Raises `ConfigError` for an override that cannot be
    applied; ``example`` is one that can.
    """
    path, sign, text = override.partition("=")
    path = path.strip()
    names = path.split(".")
    if not sign or not all(names):
        raise ConfigError(f"--set {override}: must be a dotted key and a value, such as {example}")
    value = parse_yaml(text, source=f"--set {path}")
    comment = comment_in(text)
    if comment is not None:
        raise ConfigError(
            f"--set {override}: YAML takes {comment!r} for a comment; "
            f"quote the value as YAML does, as in --set '{path}=\"a # b\"'"
        )
    out = dict(data)
    section = out
    for depth, name in enumerate(names[:-1]):
        inner = section.get(name)
        if isinstance(inner, str) and depth == 0 and name in SHORTHANDS:
            inner = {SHORTHANDS[name]: inner}
        if inner is not None and not isinstance(inner, Mapping):
            upto = ".".join(names[: depth + 1])
            where = upto + equals(inner)
            below = names[depth + 1]
            raise ConfigError(f"--set {override}: {where} is not a section, it has no key {below}")
        section[name] = dict(inner or {})
        section = section[name]
    section[names[-1]] = value
    return out
