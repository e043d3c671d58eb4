"""Configuration: YAML in, frozen models out.  Only this package imports pydantic and yaml.

`load_config` reads a file, `parse_config` a mapping; each answers with a `RunConfig` or with
one `ConfigError` that lists everything that is wrong.
"""

from __future__ import annotations

from .engines import BUILT_IN, ENGINE_GROUP, PluginConfig, engine_names
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
from .run import FaultsConfig, OutputConfig, RunConfig, ScheduleConfig
from .schema import schema, starter_config

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
