"""Configuration: YAML in, frozen models out.  Only this package imports pydantic and yaml.

`load_config` reads a file, `parse_config` a mapping; each answers with a `RunConfig` or with
one `ConfigError` that lists everything that is wrong.  The names are loaded on first use, so that `modes` alone
costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs as much to import as the rest of a start
if TYPE_CHECKING:
    from typing import Any

    from .engines import BUILT_IN, ENGINE_GROUP, PluginConfig, engine_names
    from .json_schema import schema, starter_config
    from .links import (
        HeraldedLinkConfig,
        MidpointLinkConfig,
        NetsquidDeviceConfig,
        NetsquidLinkConfig,
        TimedLinkConfig,
    )
    from .netsquid import AutoConfig, NetsquidConfig, NetsquidSideConfig, SequentialConfig
    from .noise import (
        ArmConfig,
        LinkConfig,
        LossConfig,
        NoiseConfig,
        PdcSource,
        SideConfig,
        SinglePairSource,
    )
    from .peers import HandmadeConfig, PeerConfig
    from .reading import dump_config, load_config, parse_config
    from .run import FaultsConfig, MpiConfig, OutputConfig, RunConfig, ScheduleConfig
    from .sequence import SequenceConfig, SequenceLossConfig

_HOME = {
    "engines": ("BUILT_IN", "ENGINE_GROUP", "PluginConfig", "engine_names"),
    "links": (
        "HeraldedLinkConfig",
        "MidpointLinkConfig",
        "NetsquidDeviceConfig",
        "NetsquidLinkConfig",
        "TimedLinkConfig",
    ),
    "netsquid": ("AutoConfig", "NetsquidConfig", "NetsquidSideConfig", "SequentialConfig"),
    "noise": (
        "ArmConfig",
        "LinkConfig",
        "LossConfig",
        "NoiseConfig",
        "PdcSource",
        "SideConfig",
        "SinglePairSource",
    ),
    "peers": ("HandmadeConfig", "PeerConfig"),
    "reading": ("dump_config", "load_config", "parse_config"),
    "run": ("FaultsConfig", "MpiConfig", "OutputConfig", "RunConfig", "ScheduleConfig"),
    "sequence": ("SequenceConfig", "SequenceLossConfig"),
    "json_schema": ("schema", "starter_config"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "BUILT_IN",
    "ENGINE_GROUP",
    "ArmConfig",
    "AutoConfig",
    "FaultsConfig",
    "HandmadeConfig",
    "HeraldedLinkConfig",
    "LinkConfig",
    "LossConfig",
    "MidpointLinkConfig",
    "MpiConfig",
    "NetsquidConfig",
    "NetsquidDeviceConfig",
    "NetsquidLinkConfig",
    "NetsquidSideConfig",
    "NoiseConfig",
    "OutputConfig",
    "PdcSource",
    "PeerConfig",
    "PluginConfig",
    "RunConfig",
    "ScheduleConfig",
    "SequenceConfig",
    "SequenceLossConfig",
    "SequentialConfig",
    "SideConfig",
    "SinglePairSource",
    "TimedLinkConfig",
    "dump_config",
    "engine_names",
    "load_config",
    "parse_config",
    "schema",
    "starter_config",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_MODULE[name]}", __name__), name)
    globals()[name] = value
    return value
