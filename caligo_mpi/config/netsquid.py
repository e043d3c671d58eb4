"""Models of the NetSquid engine's configuration; names agree with the noise engine's where they mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import StrictBool, Tag

from .links import HeraldedLinkConfig, NetsquidDeviceConfig, NetsquidLinkConfig
from .noise import ReadOutConfig
from .sections import Breach, NonNegative, Range, Section, about, choose_by

NetsquidLink = Annotated[
    Annotated[NetsquidLinkConfig, Tag("<plain>")]
    | Annotated[HeraldedLinkConfig, Tag("<heralded>")],
    choose_by(
        "type",
        {
            "perfect": "<plain>",
            "depolarise": "<plain>",
            "heralded-single-click": "<heralded>",
            "heralded-double-click": "<heralded>",
        },
        default="depolarise",
        problem="must be a section with the type perfect, depolarise, heralded-single-click or heralded-double-click",
    ),
]


class NetsquidSideConfig(ReadOutConfig):
    """What one party adds around the simulator."""


class NetsquidConfig(Section):
    """The SquidASM/NetSquid engine."""

    name: Annotated[
        Literal["netsquid"], about("discrete-event simulation by SquidASM and NetSquid")
    ]
    link: Annotated[NetsquidLink, about("link that makes the pairs")]
    device: Annotated[NetsquidDeviceConfig, about("quantum device of both")] = (
        NetsquidDeviceConfig()
    )
    alice: Annotated[NetsquidSideConfig, about("Alice's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    bob: Annotated[NetsquidSideConfig, about("Bob's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    formalism: Annotated[
        Literal["dm", "ket"], about("density matrix or state vector; they differ with T1 on")
    ] = "dm"
    hold: Annotated[
        Annotated[int, Range(1, 1000)] | None,
        about("pairs held at once; chosen by link and device unless given", symbol="k"),
    ] = None

    def _rules(self) -> Iterator[Breach]:
        yield from _one_at_a_time(self.link, self.hold)


def _one_at_a_time(link: Section, hold: int | None) -> Iterator[Breach]:
    """Pairs of a heralded link are corrected before the next one comes."""
    if isinstance(link, HeraldedLinkConfig) and (hold or 1) > 1:
        yield (
            "hold",
            f"must be 1 with a {link.type} link, whose pairs are corrected one at a time",
            "rule",
        )


class AutoConfig(Section):
    """What both engines can express; which one runs is settled when the run begins."""

    name: Annotated[
        Literal["auto"],
        about("netsquid if times are needed or the run is short, and it can be used; else noise"),
    ]
    link: Annotated[NetsquidLink, about("link that makes the pairs")]
    device: Annotated[
        NetsquidDeviceConfig, about("quantum device of both, where pairs have times")
    ] = NetsquidDeviceConfig()
    alice: Annotated[NetsquidSideConfig, about("Alice's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    bob: Annotated[NetsquidSideConfig, about("Bob's choice of basis and read-out")] = (
        NetsquidSideConfig()
    )
    needs_time: Annotated[
        StrictBool,
        about("whether rows need a simulated time; without NetSquid, the noise engine's"),
    ] = False
    formalism: Annotated[
        Literal["dm", "ket"], about("density matrix or state vector, where pairs have times")
    ] = "dm"
    hold: Annotated[
        Annotated[int, Range(1, 1000)] | None,
        about("pairs held at once; chosen by the engine unless given", symbol="k"),
    ] = None

    @property
    def has_time(self) -> bool:
        """Whether pairs have times on either engine."""
        return self.needs_time or isinstance(self.link, HeraldedLinkConfig)

    def _rules(self) -> Iterator[Breach]:
        yield from _one_at_a_time(self.link, self.hold)
        if not self.has_time:
            for key in self._memory():
                yield key, "matters only where pairs have times; add needs_time: true", "rule"

    def _memory(self) -> dict[str, Any]:
        """What the section says of memories, without what is usual."""
        said = self.model_dump(exclude_defaults=True)
        return {key: said[key] for key in ("device", "formalism", "hold") if key in said}

    def as_engine(self, name: Literal["noise", "netsquid"]) -> dict[str, Any]:
        """The same as a section of the engine ``name``."""
        sides = {
            side: getattr(self, side).model_dump(exclude_none=True) for side in ("alice", "bob")
        }
        link = self.link.model_dump(exclude_none=True)
        if name == "noise" and not self.has_time:
            state: dict[str, Any] = {
                key: link[key] for key in ("fidelity", "prob_max_mixed") if key in link
            }
            link = state or {"fidelity": 1.0}  # a perfect link
        return {"name": name, "link": link, **sides, **self._memory()}


class SequentialConfig(Section):
    """The protocol that Alice and Bob run inside the simulation after their pairs (``caligo-mpi sequential``)."""

    delta_t_ns: Annotated[
        NonNegative,
        about("bases stay secret for this long after the last pair", unit="ns", symbol="Δt"),
    ] = 1e6
    test_fraction: Annotated[
        Annotated[float, Range(0, 1, open_low=True, open_high=True)],
        about("share of the rows with equal bases that is compared to estimate the QBER"),
    ] = 0.1
    qber_limit: Annotated[
        Annotated[float, Range(0, 0.11)], about("above this measured QBER the run is aborted")
    ] = 0.11
    classical_latency_ns: Annotated[
        NonNegative, about("one-way delay of a classical message", unit="ns")
    ] = 0.0
