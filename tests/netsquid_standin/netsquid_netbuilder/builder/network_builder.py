"""Stand-in for netsquid_netbuilder.builder.network_builder, for tests only: nodes, links, classical links."""

from __future__ import annotations

from typing import Any

from netsquid.components import QuantumProcessor
from netsquid_driver.classical_routing_service import ClassicalRoutingService
from netsquid_magic.egp import EgpProtocol
from netsquid_magic.link_layer import MagicLinkLayerProtocol

from netsquid_netbuilder.modules.clinks import DefaultCLinkConfig, InstantCLinkConfig
from netsquid_netbuilder.modules.qdevices import GenericQDeviceConfig
from netsquid_netbuilder.modules.qlinks import (
    DepolariseQLinkConfig,
    HeraldedDoubleClickQLinkConfig,
    HeraldedSingleClickQLinkConfig,
    PerfectQLinkConfig,
)
from netsquid_netbuilder.network import QDeviceNode
from netsquid_netbuilder.network_config import NetworkConfig

_QLINKS = {
    "perfect": PerfectQLinkConfig,
    "depolarise": DepolariseQLinkConfig,
    "heralded-single-click": HeraldedSingleClickQLinkConfig,
    "heralded-double-click": HeraldedDoubleClickQLinkConfig,
}
_CLINKS = {"instant": InstantCLinkConfig, "default": DefaultCLinkConfig}


def _load(model: Any, config: Any) -> Any:
    return model(**config) if isinstance(config, dict) else config


class _ProtocolController:
    def __init__(self) -> None:
        self.protocols: list[Any] = []

    def register(self, protocol: Any) -> None:
        self.protocols.append(protocol)


class Network:
    def __init__(self, end_nodes: dict[str, QDeviceNode]) -> None:
        self.end_nodes = end_nodes
        self.egp: dict[tuple[str, str], EgpProtocol] = {}
        self._delays: dict[frozenset[str], float] = {}
        self._protocol_controller = _ProtocolController()

    @property
    def node_name_id_mapping(self) -> dict[str, int]:
        return {name: node.ID for name, node in self.end_nodes.items()}

    def classical_delay(self, origin: str, target: str) -> float:
        return self._delays[frozenset((origin, target))]

    def add_classical_link(self, link: Any) -> None:
        self._delays[frozenset((link.node1, link.node2))] = _load(
            _CLINKS[link.typ], link.cfg
        ).latency

    def add_quantum_link(self, link: Any) -> None:
        protocol = MagicLinkLayerProtocol(_load(_QLINKS[link.typ], link.cfg).model())
        for name, peer in ((link.node1, link.node2), (link.node2, link.node1)):
            self.egp[name, peer] = EgpProtocol(self.end_nodes[name], protocol)

    def start(self) -> None:
        for protocol in self._protocol_controller.protocols:
            protocol.start()
        for node in self.end_nodes.values():
            for service in node.driver.services.values():
                service.start()


class GenericQDeviceBuilder:
    @classmethod
    def build(cls, name: str, qdevice_cfg: Any) -> QuantumProcessor:
        return QuantumProcessor(name, _load(GenericQDeviceConfig, qdevice_cfg))

    @classmethod
    def build_services(cls, node: QDeviceNode) -> None:
        pass


class NodeBuilder:
    def __init__(self) -> None:
        self.qdevice_builders: dict[str, Any] = {}


class NetworkBuilder:
    def __init__(self) -> None:
        self.node_builder = NodeBuilder()
        self.node_builder.qdevice_builders["generic"] = GenericQDeviceBuilder

    def build(self, config: NetworkConfig) -> Network:
        network = Network(self.node_builder.build(config))
        for node in network.end_nodes.values():
            node.driver.network = network
            node.driver.add_service(ClassicalRoutingService, ClassicalRoutingService(node))
        for link in config.clinks:
            network.add_classical_link(link)
        for link in config.qlinks:
            network.add_quantum_link(link)
        return network
