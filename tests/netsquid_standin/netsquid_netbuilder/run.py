"""Stand-in for netsquid_netbuilder.run, for tests only."""

from netsquid_netbuilder.builder.network_builder import NetworkBuilder


def get_default_builder() -> NetworkBuilder:
    return NetworkBuilder()
