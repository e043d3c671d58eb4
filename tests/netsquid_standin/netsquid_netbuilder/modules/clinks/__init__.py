"""Stand-in for netsquid_netbuilder.modules.clinks, for tests only."""

from __future__ import annotations

from netsquid_netbuilder.yaml_loadable import YamlLoadable


class InstantCLinkConfig(YamlLoadable):
    @property
    def latency(self) -> float:
        return 0.0


class DefaultCLinkConfig(YamlLoadable):
    delay: float | None = None
    length: float | None = None
    speed_of_light: float = 200_000

    @property
    def latency(self) -> float:
        if (self.delay is None) == (self.length is None):
            raise ValueError("exactly one of delay and length")
        return self.delay if self.delay is not None else self.length / self.speed_of_light * 1e9
