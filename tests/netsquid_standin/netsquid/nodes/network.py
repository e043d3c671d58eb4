"""Stand-in for netsquid.nodes.network, for tests only."""

from netsquid.components import Component


class Network(Component):
    pass
