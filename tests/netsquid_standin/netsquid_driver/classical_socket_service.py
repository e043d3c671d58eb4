"""Stand-in for netsquid_driver.classical_socket_service, for tests only."""

from netsquid.protocols import ServiceProtocol


class ClassicalSocket:
    pass


class ClassicalSocketService(ServiceProtocol):
    pass
