"""Stand-in for netsquid_netbuilder.network_config, for tests only."""

from __future__ import annotations

from typing import Any

from .yaml_loadable import YamlLoadable


class ProcessingNodeConfig(YamlLoadable):
    name: str
    qdevice_typ: str
    qdevice_cfg: Any = None


class QLinkConfig(YamlLoadable):
    node1: str
    node2: str
    typ: str
    cfg: Any = None


class CLinkConfig(YamlLoadable):
    node1: str
    node2: str
    typ: str
    cfg: Any = None


class NetworkConfig(YamlLoadable):
    processing_nodes: list[ProcessingNodeConfig]
    qlinks: list[QLinkConfig] | None = None
    clinks: list[CLinkConfig] | None = None
