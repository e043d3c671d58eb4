"""Models of engines that are other people's simulators, or programs as people write them by hand.

They take the noise engine's link and devices, so that one specification goes through all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from .noise import LinkConfig, NoiseConfig, SideConfig
from .sections import Breach, Range, Section, about

#: Engines that know one probability of a flip and nothing that favors a bit: what else to choose.
_SYMMETRIC = {
    "stim": "its channels are made of Pauli errors",
    "plain": "it draws one error per basis",
    "loop": "it draws one error per basis",
    "threads": "it draws one error per basis",
    "processes": "it draws one error per basis",
}


class _Experiment(Section):
    """What is simulated: the noise engine's pair and devices, without loss."""

    name: str
    link: Annotated[LinkConfig, about("state of the delivered pair, as in the noise engine")]
    alice: Annotated[SideConfig, about("Alice's device, as in the noise engine")] = SideConfig()
    bob: Annotated[SideConfig, about("Bob's device, as in the noise engine")] = SideConfig()

    def as_noise(self) -> NoiseConfig:
        """The same experiment for the noise engine, whose closed forms hold."""
        return NoiseConfig(name="noise", link=self.link, alice=self.alice, bob=self.bob)

    def _rules(self) -> Iterator[Breach]:
        if self.name in _SYMMETRIC:
            for party, side in (("alice", self.alice), ("bob", self.bob)):
                yield from _asymmetries(self.name, party, side)


def _asymmetries(name: str, party: str, side: SideConfig) -> Iterator[Breach]:
    """What makes one bit likelier than the other, which an engine of symmetric errors cannot do."""
    why = f"engine {name} cannot express it: {_SYMMETRIC[name]}"
    if side.T1_ns:
        yield f"{party}.T1_ns", f"{why}; set it to 0 or choose another engine", "rule"
    if (side.p_read1_given0 or 0.0) != (side.p_read0_given1 or 0.0):
        given = "p_read1_given0" if side.p_read1_given0 else "p_read0_given1"
        yield f"{party}.{given}", f"{why}; give readout_flip or choose another engine", "rule"


class PeerConfig(_Experiment):
    """Another simulator: circuits of two qubits, with noise in the simulator's own channels."""

    name: Annotated[
        Literal["stim", "qiskit-aer", "cirq", "qsim", "pennylane"],
        about("simulator, each an extra of the same name"),
    ]


class HandmadeConfig(_Experiment):
    """A program as a user would write it, to measure what that costs."""

    name: Annotated[
        Literal["plain", "loop", "threads", "processes"],
        about(
            "numpy on arrays; one pair after another in Python; that loop in a pool of threads or processes"
        ),
    ]
    batch: Annotated[
        Annotated[int, Range(1, 1 << 24)] | None,
        about(
            "pairs per call of numpy, or per task of a pool; unless given, plain 65536, pools 4096"
        ),
    ] = None

    def _rules(self) -> Iterator[Breach]:
        yield from super()._rules()
        if self.name == "loop" and self.batch is not None:
            yield "batch", "not with engine loop, which takes one pair at a time; remove it", "rule"
