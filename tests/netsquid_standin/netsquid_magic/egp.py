"""Stand-in for netsquid_magic.egp, for tests only."""

from __future__ import annotations

from netsquid.protocols import ServiceProtocol
from netsquid_netbuilder.network import QDeviceNode
from qlink_interface import ReqCreateAndKeep, ReqReceive

from .link_layer import MagicLinkLayerProtocol


class EgpProtocol(ServiceProtocol):
    """One node's end of a link."""

    def __init__(self, node: QDeviceNode, link: MagicLinkLayerProtocol) -> None:
        super().__init__(node)
        link.ends[node.ID] = self
        self.register_request(
            ReqCreateAndKeep,
            lambda request: link.create(node.ID, request.number, request.minimum_fidelity),
        )
        self.register_request(ReqReceive, lambda request: link.receive(node.ID))
