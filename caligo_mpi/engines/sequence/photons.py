"""Mode ``spdc``: a down-conversion source, two fibers, two polarizing receivers."""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sequence.components.detector import QSDetectorPolarization
from sequence.components.light_source import SPDCSource
from sequence.components.optical_channel import QuantumChannel
from sequence.kernel.event import Event
from sequence.kernel.process import Process
from sequence.kernel.timeline import Timeline
from sequence.topology.node import Node
from sequence.utils.encoding import polarization

from ...config import SequenceConfig, SequenceLossConfig
from ...config.sequence import SequenceArmConfig
from ...pairs import Tick
from .closed_form import PS_PER_KM, PS_PER_NS, gate_ns
from .simulator import ALICE, BOB, MIDDLE

_METERS_PER_KM = 1000
_NEVER_BLIND_HZ = 1e12
_PHI_PLUS = (sqrt(0.5), sqrt(0.5))  # of |00⟩ and |11⟩
#: Pulses that the source is told about at once, whatever the chunk: so a shorter one is a prefix.
_BLOCK = 64


class Clicks(NamedTuple):
    """One side's clicks in gates: pulse, detector (the bit), time since that pulse's emission (ps)."""

    pulse: NDArray[np.int64]
    bit: NDArray[np.uint8]
    time: NDArray[np.int64]


def simulate(
    config: SequenceConfig,
    bases: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    seeds: list[int],
    tick: Tick | None,
) -> list[Clicks]:
    """Alice's and Bob's clicks of as many pulses as there are bases, in order of time.

    ``tick`` is called before each block of pulses.
    """
    setup = _Setup(config, bases, seeds, tick)
    setup.timeline.init()
    if len(bases[0]):
        setup.begin()
        setup.timeline.run()
    return [setup.clicks(receiver) for receiver in setup.receivers]


class _Port:
    """Where one photon of each pair leaves the source for a fiber."""

    def __init__(self, node: Any, receiver: str) -> None:
        self._node = node
        self._receiver = receiver

    def get(self, photon: Any) -> None:
        """Into the fiber; the other photon of the pair takes the other port."""
        self._node.send_qubit(self._receiver, photon)


class _Receiver(Node):  # type: ignore[misc]
    """A party that measures polarization, in a basis of her own for each pulse."""

    def __init__(
        self,
        name: str,
        timeline: Any,
        seed: int,
        arm: SequenceArmConfig,
    ) -> None:
        super().__init__(name, timeline, seed=seed)
        self.arm = arm
        self.delay = round(arm.length_km * PS_PER_KM)
        self.detector = QSDetectorPolarization(f"{name}.detector", timeline)
        self.add_component(self.detector)
        self.set_first_component(self.detector.name)
        dead = round(arm.dead_time_ns * PS_PER_NS)
        for number in (0, 1):
            self.detector.set_detector(
                number,
                efficiency=arm.detector_efficiency,
                dark_count=arm.dark_count_rate_hz / 2,
                count_rate=1e12 / dead if dead else _NEVER_BLIND_HZ,
                time_resolution=round(arm.time_resolution_ns * PS_PER_NS),
            )


class _Setup:
    """The source, told about a block of pulses at a time, both fibers and both receivers."""

    def __init__(
        self,
        config: SequenceConfig,
        bases: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        seeds: list[int],
        tick: Tick | None,
    ) -> None:
        assert config.source is not None
        self.timeline = Timeline()
        self._period = round(config.source.period_ns * PS_PER_NS)
        self._first = self._period  # so that the first pulse's gate is whole
        self._pulses = len(bases[0])
        self._told = 0
        self._tick = tick
        loss = config.loss or SequenceLossConfig()
        node = Node(MIDDLE, self.timeline, seed=seeds[2])
        self._source = SPDCSource(
            f"{MIDDLE}.source",
            self.timeline,
            frequency=1e12 / self._period,
            mean_photon_num=config.source.mu,
            encoding_type=polarization,
        )
        node.add_component(self._source)
        alice = _Receiver(ALICE, self.timeline, seeds[0], loss.alice)
        bob = _Receiver(BOB, self.timeline, seeds[1], loss.bob)
        self.receivers = [alice, bob]
        for receiver, chosen in zip(self.receivers, bases, strict=True):
            self._link(node, receiver, chosen)
        slowest = max(receiver.delay for receiver in self.receivers)
        over = self._first + self._pulses * self._period
        self.timeline.stop_time = over + slowest + 1

    def _link(
        self,
        node: Any,
        receiver: _Receiver,
        bases: NDArray[np.uint8],
    ) -> None:
        """A receiver behind a fiber, with a basis for each pulse."""
        arm = receiver.arm
        meters = arm.length_km * _METERS_PER_KM
        loss = arm.attenuation_db_per_km / _METERS_PER_KM
        fiber = QuantumChannel(
            f"{receiver.name}.fiber",
            self.timeline,
            loss,
            meters,
        )
        fiber.set_ends(node, receiver.name)
        self._source.add_receiver(_Port(node, receiver.name))
        begin = self._first + receiver.delay - self._period // 2
        frequency = 1e12 / self._period
        receiver.detector.set_basis_list(bases.tolist(), begin, frequency)

    def begin(self) -> None:
        """The first block of pulses is due."""
        self._emit_at(self._first)

    def _emit_at(self, time: int) -> None:
        process = Process(self, "emit", [])
        event = Event(time, process)
        self.timeline.schedule(event)

    def emit(self) -> None:
        """Tell the source about the next block; the block after it is due when this one is over."""
        if self._tick is not None:
            self._tick()
        self._source.emit([_PHI_PLUS] * _BLOCK)
        self._told += _BLOCK
        self._emit_at(self._first + self._told * self._period)

    def clicks(self, receiver: _Receiver) -> Clicks:
        """The clicks in gates of the pulses that count."""
        times = receiver.detector.get_photon_times()
        numbers = [len(one) for one in times]
        bit = np.repeat(np.arange(2, dtype=np.uint8), numbers)
        stamps = [np.array(one, np.int64) for one in times]
        stamp = np.concatenate(stamps)
        stamp -= self._first + receiver.delay
        period = self._period
        pulse = (stamp + period // 2) // period
        since = stamp - pulse * period
        gate = round(gate_ns(receiver.arm, period / PS_PER_NS) * PS_PER_NS)
        before = gate // 2
        counts = (-before <= since) & (since < gate - before)
        counts &= (pulse >= 0) & (pulse < self._pulses)
        by_time = np.lexsort((since[counts], pulse[counts]))
        order = np.flatnonzero(counts)[by_time]
        return Clicks(pulse[order], bit[order], since[order])
