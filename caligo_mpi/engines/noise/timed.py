"""Links whose attempts take time: from the configuration to their closed forms.

A request asks for k pairs, which are made one after the other and held; then both sides measure
them in order.  Each attempt takes a cycle and succeeds with one probability.  A pair idles in both
memories while later pairs are made and earlier ones are measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...config import MidpointLinkConfig, NetsquidDeviceConfig, TimedLinkConfig
from ...config.links import LEAST_SUCCESS
from ...errors import ConfigError
from .. import link
from ..heralded import heralded
from ..link import Channel, Expected, Moments, X, Z
from .model import readout_of
from .waits import Cycles, larger_of_two

if TYPE_CHECKING:
    from ...config import NoiseConfig, SideConfig

_LIGHT_KM_PER_S = 200_000
_DEFAULT_CYCLE_NS = 1000.0  # of a perfect link that does not say
_HOLD = 10
_LONGEST_NS = 1e18  # thirty years


class State(NamedTuple):
    """What a successful attempt delivers: bits after Bob's correction, before memories and gates.

    ``dark`` is the share of pairs in |00⟩ (in |11⟩ if negative) before the correction; of the
    others, whose halves are mixed, ``z`` and ``x`` are the correlations.  ``two_outcomes`` says
    that Ψ⁺ and Ψ⁻ are heralded, equally often, rather than Φ⁺.
    """

    success: float
    z: float
    x: float
    dark: float = 0.0
    two_outcomes: bool = False


class Side(NamedTuple):
    """One side's memory (ns), choice of basis and read-out."""

    in_x: float
    T1: float
    T2: float
    storage: float
    read: Channel

    @property
    def decoheres(self) -> bool:
        """Whether a bit in this memory is ever lost."""
        return bool(self.T1 or self.T2)

    def kept_in_z(self, time: float) -> float:
        """What relaxation leaves after ``time``."""
        return link.decay(time, self.T1)

    def kept_in_x(self, time: float) -> float:
        """What dephasing leaves after ``time``."""
        return link.decay(time, self.T2)


class Timed(NamedTuple):
    """A configuration with such a link.  Times are whole picoseconds, here in ns."""

    state: State
    gate_kept: float
    cycle: float
    measure: float
    gate: float
    alice: Side
    bob: Side
    hold: int
    max_cycles: int | None
    ground: bool

    @property
    def storage(self) -> float:
        """How much longer a request takes for the time that both sides keep their pairs anyway."""
        return max(self.alice.storage, self.bob.storage)


def is_timed(config: NoiseConfig) -> bool:
    """Whether the link's attempts take time, so that rows have times."""
    return isinstance(config.link, TimedLinkConfig | MidpointLinkConfig)


def describe_timed(config: NoiseConfig) -> Timed:
    """The configuration in these terms.

    Raises `ConfigError` for an attempt that hardly ever succeeds.
    """
    state = _state(config)
    if state.success < LEAST_SUCCESS:
        chance = f"an attempt succeeds with probability {state.success:.3g}"
        raise ConfigError(
            f"engine.link: {chance}; it must be "
            f"at least {LEAST_SUCCESS:g}, or attempts are counted beyond 32 bits"
        )
    device = _device(config)
    _require_bounded(config)
    cycle = _whole(_cycle(config))
    alice_gate = device.gate_depolarizing or config.alice.gate_depolarizing
    bob_gate = device.gate_depolarizing or config.bob.gate_depolarizing
    max_cycles = None
    if config.max_wait_ns is not None:
        longest = picoseconds(config.max_wait_ns)
        max_cycles = int(longest // picoseconds(cycle))
    return Timed(
        state=state,
        gate_kept=(1 - alice_gate) * (1 - bob_gate),
        cycle=cycle,
        measure=_whole(device.measure_time_ns),
        gate=_whole(device.single_qubit_gate_time_ns),
        alice=_side(config, config.alice),
        bob=_side(config, config.bob),
        hold=config.hold or usual_hold(config),
        max_cycles=max_cycles,
        ground=config.formalism == "dm",
    )


def _require_bounded(config: NoiseConfig) -> None:
    """Raise `ConfigError` for a duration that is longer than any experiment."""
    device = _device(config)
    durations = {
        "engine.link: an attempt": _cycle(config),
        "engine.device.measure_time_ns: it": device.measure_time_ns,
        "engine.device.single_qubit_gate_time_ns: it": device.single_qubit_gate_time_ns,
        "engine.alice.storage_time_ns: it": config.alice.storage_time_ns,
        "engine.bob.storage_time_ns: it": config.bob.storage_time_ns,
    }
    for what, duration in durations.items():
        if duration > _LONGEST_NS:
            raise ConfigError(f"{what} takes {duration:g} ns; it must be at most {_LONGEST_NS:g}")


def usual_hold(config: NoiseConfig) -> int:
    """Pairs held at once where the configuration does not say: as with the NetSquid engine."""
    alice = _side(config, config.alice)
    bob = _side(config, config.bob)
    decoheres = alice.decoheres or bob.decoheres
    link_type = getattr(config.link, "type", "")
    is_heralded = link_type.startswith("heralded")
    return 1 if decoheres or is_heralded else _HOLD


def _device(config: NoiseConfig) -> NetsquidDeviceConfig:
    return config.device or NetsquidDeviceConfig()


def _side(config: NoiseConfig, side: SideConfig) -> Side:
    device = _device(config)
    return Side(
        in_x=side.basis_bias,
        T1=device.T1_ns or side.T1_ns,
        T2=device.T2_ns or side.T2_ns,
        storage=_whole(side.storage_time_ns),
        read=readout_of(side),
    )


def picoseconds(time_ns: float) -> int:
    """The time in whole picoseconds, as a number."""
    return round(1000 * time_ns)


def _whole(time_ns: float) -> float:
    """The time (ns) in whole picoseconds."""
    return picoseconds(time_ns) / 1000


def _cycle(config: NoiseConfig) -> float:
    """Nanoseconds per attempt."""
    connection = config.link
    assert isinstance(connection, TimedLinkConfig | MidpointLinkConfig)
    if connection.cycle_time_ns is not None:
        return connection.cycle_time_ns
    if connection.length_km is not None:
        seconds = connection.length_km / _LIGHT_KM_PER_S
        return seconds * 1e9
    return _DEFAULT_CYCLE_NS


def _state(config: NoiseConfig) -> State:
    connection = config.link
    if isinstance(connection, MidpointLinkConfig):
        return _midpoint_state(connection)
    assert isinstance(connection, TimedLinkConfig)
    if connection.pauli is not None:
        correlation = link.bell_diagonal(*connection.pauli)
    else:
        mixed = connection.prob_max_mixed or 0.0
        if connection.fidelity is not None:
            mixed = link.mixed_from_fidelity(connection.fidelity)
        correlation = link.werner(mixed)
    success = connection.prob_success
    total = success + (1 - success) * connection.dark_count_probability
    genuine = success / total
    return State(
        success=total,
        z=genuine * correlation.z,
        x=genuine * correlation.x,
    )


def _midpoint_state(connection: MidpointLinkConfig) -> State:
    """The state of photons that meet midway, with the dark part of the mixture set apart."""
    found = heralded(connection)
    separable = abs(found.dark)
    others = 1 - separable
    # A pair in |00⟩ or |11⟩ has unequal bits in Z after the correction, and random ones in X.
    qber_z = (found.qber_z - separable) / others
    qber_x = (found.qber_x - separable / 2) / others
    return State(
        success=found.success,
        z=1 - 2 * qber_z,
        x=1 - 2 * qber_x,
        dark=found.dark,
        two_outcomes=True,
    )


# --- closed forms ---------------------------------------------------------------------------


def timed_rates(law: Timed) -> Expected:
    """QBERs per sifted row, the share of pairs that are kept, and mean and variance of times."""
    found = timed_moments(law)
    cycles = _cycles(law)
    kept = sum(cycles.moments(1.0)) / law.hold
    mean, variance = request_time(law)
    alice_x = law.alice.in_x
    bob_x = law.bob.in_x
    return Expected(
        qber_z=link.qber(found[Z, Z].both),
        qber_x=link.qber(found[X, X].both),
        sifted_z=(1 - alice_x) * (1 - bob_x),
        sifted_x=alice_x * bob_x,
        coincidence=kept,
        alice_click=kept,
        bob_click=kept,
        hold=law.hold,
        request_ns=mean,
        request_variance_ns2=variance,
    )


def timed_moments(law: Timed) -> dict[tuple[int, int], Moments]:
    """Moments of what both record for Alice's and Bob's bases, averaged over all kept pairs."""
    cycles = _cycles(law)
    kept = sum(cycles.moments(1.0))
    total_a, total_b, total_z = _in_z(law, cycles)
    mean_a = total_a / kept
    mean_b = total_b / kept
    both_z = total_z / kept
    both_x = _in_x(law, cycles) / kept
    stored = {
        (Z, Z): Moments(mean_a, mean_b, both_z),
        (Z, X): Moments(mean_a, 0.0, 0.0),
        (X, Z): Moments(0.0, mean_b, 0.0),
        (X, X): Moments(0.0, 0.0, both_x),
    }
    return {bases: _recorded(law, means) for bases, means in stored.items()}


def _recorded(law: Timed, stored: Moments) -> Moments:
    """What read-out makes of the means of signs in memory, and of their product."""
    a = law.alice.read
    b = law.bob.read
    alice = a.scale * stored.alice + a.shift
    bob = b.scale * stored.bob + b.shift
    with_a = b.scale * stored.both + b.shift * stored.alice
    both = a.scale * with_a + a.shift * bob
    return Moments(alice, bob, both)


def _cycles(law: Timed) -> Cycles:
    return Cycles(law.state.success, law.hold, law.max_cycles)


def _in_x(law: Timed, cycles: Cycles) -> float:
    """Mean product of signs measured in X, summed over positions; discarded pairs count as 0."""
    alice = law.alice
    bob = law.bob
    state = law.state
    per_cycle = alice.kept_in_x(law.cycle) * bob.kept_in_x(law.cycle)
    per_read = _reading(law, alice, alice.T2) * _reading(law, bob, bob.T2)
    stored = alice.kept_in_x(alice.storage) * bob.kept_in_x(bob.storage)
    mixed = (1 - abs(state.dark)) * state.x * law.gate_kept * stored
    waits = cycles.moments(per_cycle)
    kept = sum(moment * per_read**before for before, moment in enumerate(waits))
    return mixed * kept


def _in_z(law: Timed, cycles: Cycles) -> tuple[float, float, float]:
    """Mean signs of both, measured in Z, and of their product, summed likewise."""
    alice = law.alice
    bob = law.bob
    a_cycle = alice.kept_in_z(law.cycle)
    b_cycle = bob.kept_in_z(law.cycle)
    a_read = _reading(law, alice, alice.T1)
    b_read = _reading(law, bob, bob.T1)
    a_stored = alice.kept_in_z(alice.storage)
    b_stored = bob.kept_in_z(bob.storage)
    waits = zip(
        cycles.moments(1.0),
        cycles.moments(a_cycle),
        cycles.moments(b_cycle),
        cycles.moments(a_cycle * b_cycle),
        strict=True,
    )
    total_a = total_b = total = 0.0
    for before, (chance, a_waits, b_waits, both_wait) in enumerate(waits):
        a = a_waits * a_stored * a_read**before
        b = b_waits * b_stored * b_read**before
        both = both_wait * a_stored * b_stored * (a_read * b_read) ** before
        kept = chance, a, b, both
        mean_a, mean_b, mean_product = _relaxed(law, kept)
        total_a += mean_a
        total_b += mean_b
        total += mean_product
    return total_a, total_b, total


def _relaxed(law: Timed, kept: tuple[float, float, float, float]) -> tuple[float, float, float]:
    """Mean signs of bits measured in Z, after Bob's correction, and of their product.

    ``kept`` are the chances that the pair counts, and that, too, Alice's bit, Bob's bit, and both
    bits did not relax.  In memory Bob's bit is the correction away from the recorded one.
    """
    chance, a, b, both = kept
    turned = -1 if law.state.two_outcomes else 1
    dark = law.state.dark
    separable = abs(dark)
    mixed = turned * (1 - separable) * law.state.z + separable
    fallen = 1 if law.ground else 0
    mean_a = a * dark + (chance - a) * fallen
    mean_b = b * dark + (chance - b) * fallen
    one_fell = (a + b - 2 * both) * dark * fallen
    both_fell = (chance - a - b + both) * fallen
    product = both * mixed + one_fell + both_fell
    return mean_a, turned * mean_b, turned * product


def _reading(law: Timed, side: Side, constant: float) -> float:
    """Mean of exp(−t/T) over the time t that a side takes to read one pair."""
    gate = link.decay(law.gate, constant)
    measurement = link.decay(law.measure, constant)
    return measurement * (1 - side.in_x + side.in_x * gate)


def request_time(law: Timed) -> tuple[float, float]:
    """Mean (ns) and variance (ns²) of the time that a request takes.

    Attempts are geometric: k/p cycles with variance k(1−p)/p².  The slower side's gates decide
    when it is read out.
    """
    success = law.state.success
    hold = law.hold
    making = law.cycle * hold / success
    mean = making + hold * law.measure + law.storage
    variance = law.cycle**2 * hold * (1 - success) / success**2
    if law.gate:
        gates, spread = larger_of_two(hold, law.alice.in_x, law.bob.in_x)
        mean += law.gate * gates
        variance += law.gate**2 * spread
    return mean, variance
