"""Configuration: YAML in, frozen models out.  Only this package imports pydantic and yaml.

`load_config` reads a file, `parse_config` a mapping; each answers with a `RunConfig` or with
one `ConfigError` that lists everything that is wrong.
"""

from __future__ import annotations

from .netsquid import (
    AutoConfig,
    HeraldedLinkConfig,
    NetsquidConfig,
    NetsquidDeviceConfig,
    NetsquidLinkConfig,
    NetsquidSideConfig,
    SequentialConfig,
)
from .noise import (
    ArmConfig,
    LinkConfig,
    LossConfig,
    NoiseConfig,
    PdcSource,
    SideConfig,
    SinglePairSource,
)
from .reading import dump_config, load_config, parse_config
from .run import (
    ENGINE_GROUP,
    FaultsConfig,
    OutputConfig,
    PluginConfig,
    RunConfig,
    ScheduleConfig,
    engine_names,
)
from .schema import schema, starter_config

__all__ = [
    "ENGINE_GROUP",
    "ArmConfig",
    "AutoConfig",
    "FaultsConfig",
    "HeraldedLinkConfig",
    "LinkConfig",
    "LossConfig",
    "NetsquidConfig",
    "NetsquidDeviceConfig",
    "NetsquidLinkConfig",
    "NetsquidSideConfig",
    "NoiseConfig",
    "OutputConfig",
    "PdcSource",
    "PluginConfig",
    "RunConfig",
    "ScheduleConfig",
    "SequentialConfig",
    "SideConfig",
    "SinglePairSource",
    "dump_config",
    "engine_names",
    "load_config",
    "parse_config",
    "schema",
    "starter_config",
]
