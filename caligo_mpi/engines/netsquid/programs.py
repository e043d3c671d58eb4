"""Alice and Bob as SquidASM programs: share pairs, measure each in its basis, flush."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...pairs import X
from .simulator import ALICE, BOB, clock, meta

#: Whether Bob's bit is inverted, by Bell state as netqasm numbers them (Φ⁺ Ψ⁺ Ψ⁻ Φ⁻), then by
#: basis.  The SDK's own correction by gates always acts on virtual qubit 0, which is wrong when
#: several pairs are held.
PAULI_FRAME = ((0, 0), (1, 0), (1, 1), (0, 1))


class Party:
    """One side of the experiment, as a program; Alice creates the pairs, Bob receives them.

    It measures in ``bases`` in order, ``hold`` pairs per request and ``rounds`` requests per run
    of the program; ``done`` is called after each request.  ``outcomes`` (bits), ``starts`` and
    ``times`` (ns, one per request: when it began and when its pairs were measured) and, for Bob,
    ``states`` (Bell states as netqasm numbers them) fill up over all runs.
    """

    def __init__(
        self,
        name: str,
        *,
        bases: NDArray[np.uint8],
        hold: int,
        rounds: int,
        done: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._peer = BOB if name == ALICE else ALICE
        self._creates = name == ALICE
        self._hold = hold
        self._rounds = rounds
        self._done = done
        self.bases = bases
        self.outcomes: list[int] = []
        self.starts: list[float] = []
        self.times: list[float] = []
        self.states: list[int] = []

    @property
    def meta(self) -> Any:
        """SquidASM's description of the program."""
        return meta(self._name, self._peer, hold=self._hold)

    def run(self, context: Any) -> Generator[Any, None, dict[str, Any]]:
        """One program run, in SquidASM's event loop."""
        first = len(self.outcomes)
        most = self._rounds * self._hold
        last = min(first + most, len(self.bases))
        for start in range(first, last, self._hold):
            bases = self.bases[start : start + self._hold].tolist()
            self.starts.append(clock())
            self.outcomes += yield from share(
                context,
                self._peer,
                bases,
                creates=self._creates,
                states=self.states,
            )
            self.times.append(clock())
            if self._done:
                self._done()
        return {}


def share(
    context: Any,
    peer: str,
    bases: Sequence[int],
    *,
    creates: bool,
    states: list[int] | None = None,
) -> Generator[Any, None, list[int]]:
    """Share ``len(bases)`` pairs with ``peer``, then measure each in its basis.

    Returns the outcomes, 0 or 1, corrected to what a pair in Φ⁺ would have given; the receiver
    appends the Bell states that were reported to ``states``.  X is measured as H, then Z:
    ``measure(basis=X)`` cannot be deserialized by squidasm.
    """
    socket = context.epr_sockets[peer]
    connection = context.connection
    count = len(bases)
    if creates:
        qubits = socket.create_keep(number=count)
    else:
        qubits, infos = socket.recv_keep_with_info(number=count, expect_phi_plus=False)
    results = connection.new_array(count)
    futures = [results.get_future_index(i) for i in range(count)]
    for basis, qubit, future in zip(bases, qubits, futures, strict=True):
        if basis == X:
            qubit.H()
        qubit.measure(future=future)
    yield from connection.flush()
    outcomes = [int(future) for future in futures]
    if creates:
        return outcomes
    reported = [int(info.raw_bell_state) for info in infos]
    if states is not None:
        states += reported
    corrected = []
    for bit, state, basis in zip(outcomes, reported, bases, strict=True):
        inverted = PAULI_FRAME[state][basis]
        corrected.append(bit ^ inverted)
    return corrected
