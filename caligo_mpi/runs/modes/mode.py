"""What every mode of the protocol answers about the runs whose pairs it is used on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from ... import store
from ...config import RunConfig
from ...config.protocol import ProtocolConfig
from ...protocol.types import Premises

Config = TypeVar("Config", bound=ProtocolConfig)


class Tested(NamedTuple):
    """A test that a block makes: which ``share`` of its rows it takes, and the error ``rate`` that it should see."""

    share: float
    rate: float


@dataclass(frozen=True, slots=True)
class Formula:
    """Secret bits by formula: per sifted pair in the limit of many, and in all for the point's size."""

    asymptotic: float
    finite_bits: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of sifted pairs among the registered ones, and error rates, by basis."""

    sifted_z: float
    sifted_x: float
    qber_z: float
    qber_x: float

    @property
    def sifted(self) -> float:
        """Share of the registered pairs whose bases agree."""
        return self.sifted_z + self.sifted_x

    @property
    def qber(self) -> float:
        """Error rate of both bases together; ½ where no bases agree."""
        wrong = self.sifted_z * self.qber_z + self.sifted_x * self.qber_x
        return wrong / self.sifted if self.sifted else 0.5


class Mode(ABC, Generic[Config]):
    """A mode of the protocol, as `distill` and sweeps see it.

    ``run`` is always the configuration by which the pairs were made, ``config`` that of the protocol.
    """

    #: Bytes that a rank holds per pair of the block that it works on: measured.
    block_bytes: ClassVar[int]

    # ── devices ──────────────────────────────────────────────────────────────────────────────────

    def require_devices(self, run: RunConfig, *, source: str) -> None:
        """Raise `ConfigError`, which names ``source``, where the mode must not trust the devices of ``run``.

        The mode trusts all devices unless it says otherwise.
        """

    @abstractmethod
    def premises(self, run: RunConfig) -> Premises:
        """What the mode takes for granted of the pairs; of another package's engine, all it asks for."""

    @abstractmethod
    def assumptions(self, run: RunConfig) -> list[str]:
        """What is assumed beyond what the protocol checks, one sentence each, for the keys file."""

    # ── security ─────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def security(self, config: Config, premises: Premises, blocks: int) -> dict[str, object]:
        """Every ε of a run of so many blocks, what it is for and what they add up to, as JSON values."""

    @abstractmethod
    def tests(self, config: Config, rates: Rates) -> list[Tested]:
        """The tests of a block whose pairs have these rates; above ``config.qber_limit`` it is aborted."""

    @abstractmethod
    def abort_chance(self, config: Config) -> float:
        """How often honest parties abort a block for other reasons than a test, at most."""

    # ── choices and formulas ─────────────────────────────────────────────────────────────────────

    @abstractmethod
    def defaults(self, file: store.PairsFile) -> tuple[dict[str, Any], str]:
        """The keys beside mode and seed that suit the file's pairs, and why."""

    @abstractmethod
    def chosen(self, config: Config, given: Mapping[str, Any], why: str) -> str:
        """What was chosen and why, for people; ``given`` and ``why`` are those of `defaults`."""

    @abstractmethod
    def formula(
        self,
        config: Config,
        run: RunConfig,
        counts: Mapping[str, Any],
        rates: Rates,
        efficiency: float,
    ) -> Formula:
        """What the formulas of docs/protocol.md give.

        ``counts`` has ``rows``, registered pairs, and ``alice_clicks``; ``efficiency`` f is that of reconciliation.
        """
