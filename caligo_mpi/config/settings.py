"""How a run is executed, by file, environment and command line: settings that never change a bit of the result.

The command line goes before the environment, that before the file, and what none of them gives has its default.  A
setting's variable is its path in capitals: ``schedule.policy`` is ``CALIGO_MPI_SCHEDULE_POLICY``; those of the section
``mpi`` leave the section out, so ``mpi.binding`` is ``CALIGO_MPI_BINDING``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..errors import EnvironmentProblem
from ..machine import environment
from ..machine.environment import SETTINGS_PREFIX, shown
from .complaints import complain, look_up
from .reading import overridden, read_yaml
from .run import (
    SHORTHANDS,
    FaultsConfig,
    MpiConfig,
    OutputConfig,
    RunConfig,
    ScheduleConfig,
    validated,
)
from .sections import Section

#: Sections of settings, and keys in them that are none: they decide what is in the file.
_SECTIONS: dict[str, type[Section]] = {
    "mpi": MpiConfig,
    "schedule": ScheduleConfig,
    "faults": FaultsConfig,
    "output": OutputConfig,
}
_NONE = {"output.path", "output.keep"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting by its path in the configuration, its variable, its value and what gave it."""

    path: str
    variable: str
    value: object
    source: str


def variables() -> dict[str, str]:
    """Every variable of a setting → the setting's path."""
    found = {}
    for section, model in _SECTIONS.items():
        for key in model.model_fields:
            path = f"{section}.{key}"
            if path not in _NONE:
                name = key if section == "mpi" else f"{section}_{key}"
                found[SETTINGS_PREFIX + name.upper()] = path
    return found


def from_environment(
    given: Mapping[str, str] | None = None,
    *,
    sections: Sequence[str] = tuple(_SECTIONS),
) -> list[str]:
    """The settings that the environment has, as overrides of these sections: ``path=value``.

    ``given`` are other variables than this process has.  Raises `EnvironmentProblem` for a variable that no
    setting has, and for a value that its setting cannot take.
    """
    known = variables()
    given = environment.settings() if given is None else environment.settings(given)
    for name in sorted(given):
        if name not in known:
            raise EnvironmentProblem(_unknown(name, sorted(known)))
    found = []
    for name, text in sorted(given.items()):
        path = known[name]
        section, _, key = path.partition(".")
        _require_value(name, section, key, text)
        if section in sections:
            found.append(f"{path}={json.dumps(text)}")
    return found


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.7)
    remedy = f"did you mean {close[0]}?" if close else f"they are {', '.join(known)}"
    return f"{shown(name)} in the environment is no setting; {remedy}"


def _require_value(name: str, section: str, key: str, text: str) -> None:
    try:
        _SECTIONS[section].model_validate({key: text})
    except ValidationError as invalid:
        errors = [{**error, "loc": (name,)} for error in invalid.errors(include_url=False)]
        told = complain(errors, given={}, keys=(), source="environment", overrides=(), answers={})
        raise EnvironmentProblem(f"{told}; unset it or set it right") from None


def settled(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """A stored configuration with other settings: overrides ``path=value``."""
    if not overrides:
        return config
    data: Mapping[str, Any] = config.resolved()
    for override in overrides:
        data = overridden(data, override)
    return validated(data, source="stored configuration")


def mpi_settings(overrides: Sequence[str], base: MpiConfig | None = None) -> MpiConfig:
    """The section ``mpi`` of a verb without a configuration of one run: the environment's and these overrides.

    Raises `ConfigError` where one of them is wrong.
    """
    # Any run will do around it.
    engine = {"name": "noise", "link": {"fidelity": 1}}
    data: dict[str, Any] = {"pairs": 1, "seed": 0, "engine": engine, "mpi": {}}
    if base is not None:
        data["mpi"] = base.model_dump(exclude_unset=True)
    for override in [*from_environment(sections=["mpi"]), *overrides]:
        data = overridden(data, override)
    return validated(data, source="settings").mpi


def restarts_setting() -> int:
    """Launches after the first one, by the environment."""
    section = {}
    for override in from_environment(sections=["faults"]):
        path, _, value = override.partition("=")
        if path == "faults.restarts":
            section["restarts"] = json.loads(value)
    return FaultsConfig.model_validate(section).restarts


def sweep_settings() -> list[str]:
    """What the environment says of sharing and healing, as overrides of a sweep."""
    found = from_environment(sections=["schedule", "faults"])
    return [f"base.{override}" for override in found]


def sources(path: str, overrides: Sequence[str], config: RunConfig) -> list[Setting]:
    """Where each setting of a run came from, whose file and ``overrides`` of the command line are these."""
    data = read_yaml(path, remedy="")
    in_environment = {one.partition("=")[0] for one in from_environment()}
    found = []
    for variable, setting in variables().items():
        source = "file" if _has(data, setting) else "default"
        if setting in in_environment:
            source = f"environment: {variable}"
        source = _after(overrides, setting, source)
        value = look_up(config.model_dump(mode="json"), setting.split("."))
        found.append(Setting(setting, variable, value, source))
    return found


def _has(data: object, setting: str) -> bool:
    section, _, key = setting.partition(".")
    given = data.get(section) if isinstance(data, Mapping) else None
    if isinstance(given, str):
        return SHORTHANDS.get(section) == key
    return isinstance(given, Mapping) and given.get(key) is not None


def _after(overrides: Sequence[str], setting: str, source: str) -> str:
    """What gave a setting, once the command line was followed."""
    section = setting.partition(".")[0]
    for override in overrides:
        path = override.partition("=")[0].strip()
        if path == setting:
            source = "command line"
        elif path == section:  # all of the section at once
            source = "command line" if _has(overridden({}, override), setting) else "default"
    return source
