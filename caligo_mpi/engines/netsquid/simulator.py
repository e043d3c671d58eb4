"""SquidASM and NetSquid behind a few functions: no other module runs on their names."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from ...config import NetsquidConfig, NetsquidLinkConfig
from ...errors import EnvironmentProblem
from ..draws import global_generators
from .closed_form import cycle_time, prob_max_mixed
from .environment import probe

ALICE, BOB = "alice", "bob"

#: A netqasm connection that declares one qubit compiles every pair into a loop of moves, three times as slow.
_MIN_QUBITS = 2


@cache
def require() -> None:
    """Raise `EnvironmentProblem` with the remedy if NetSquid cannot run here."""
    if problem := probe():
        raise EnvironmentProblem(problem)


def memory(hold: int) -> int:
    """Qubits of a device that holds ``hold`` pairs."""
    return max(hold, _MIN_QUBITS)


def network(config: NetsquidConfig, *, hold: int, latency_ns: float = 0.0) -> Any:
    """Two nodes, one link, one classical link, as SquidASM's ``StackNetworkConfig``."""
    from squidasm.run.stack import config as stack

    device = stack.GenericQDeviceConfig(**device_fields(config, hold))
    classical = stack.CLinkConfig(
        stack1=ALICE,
        stack2=BOB,
        typ="default",
        cfg={"delay": latency_ns},
    )
    return stack.StackNetworkConfig(
        stacks=[
            stack.StackConfig(name=name, qdevice_typ="generic", qdevice_cfg=device)
            for name in (ALICE, BOB)
        ],
        links=[
            stack.LinkConfig(
                stack1=ALICE,
                stack2=BOB,
                typ=config.link.type,
                cfg=link_fields(config),
            )
        ],
        clinks=[classical] if latency_ns else None,  # None: instant
    )


def device_fields(config: NetsquidConfig, hold: int) -> dict[str, float]:
    """Fields of ``GenericQDeviceConfig``, all of them: its defaults are noisy."""
    device = config.device
    return {
        "num_qubits": memory(hold),
        "num_comm_qubits": memory(hold),
        "T1": device.T1_ns,
        "T2": device.T2_ns,
        "init_time": device.init_time_ns,
        "single_qubit_gate_time": device.single_qubit_gate_time_ns,
        "two_qubit_gate_time": device.two_qubit_gate_time_ns,
        "measure_time": device.measure_time_ns,
        "single_qubit_gate_depolar_prob": device.gate_depolarizing,
        "two_qubit_gate_depolar_prob": device.gate_depolarizing,
    }


def link_fields(config: NetsquidConfig) -> dict[str, float]:
    """Fields of netbuilder's configuration of this link type."""
    link = config.link
    if not isinstance(link, NetsquidLinkConfig):
        return {
            "length": link.length_km,
            "p_loss_init": link.p_loss_init,
            "p_loss_length": link.attenuation_db_per_km,
            "dark_count_probability": link.dark_count_probability,
            "detector_efficiency": link.detector_efficiency,
            "visibility": link.visibility,
        }
    if link.type == "perfect":
        return {"state_delay": cycle_time(link)}
    return {
        "fidelity": 1 - 3 * prob_max_mixed(link) / 4,
        "prob_success": link.prob_success,
        "t_cycle": cycle_time(link),
    }


def known_fields(model: str) -> set[str]:
    """Fields of one of netbuilder's configuration models, which ignore those they do not know."""
    from squidasm.run.stack import config as stack

    module = stack.netbuilder_qdevices if model.endswith("DeviceConfig") else stack.netbuilder_links
    cls = getattr(module, model)
    return set(getattr(cls, "model_fields", None) or cls.__fields__)


def meta(
    name: str,
    peer: str,
    *,
    hold: int,
    talks: bool = False,
) -> Any:
    """SquidASM's description of a program that shares pairs, and ``talks``, with ``peer``."""
    from squidasm.sim.stack.program import ProgramMeta

    return ProgramMeta(
        name=name,
        csockets=[peer] if talks else [],
        epr_sockets=[peer],
        max_qubits=memory(hold),
    )


def message(header: str, payload: bytes) -> Any:
    """What a classical socket carries."""
    from netqasm.sdk.classical_communication.message import StructuredMessage

    return StructuredMessage(header, payload)


def clock() -> float:
    """Simulated time in ns."""
    import netsquid

    return float(netsquid.sim_time())


def wait(duration_ns: float) -> Generator[Any, None, None]:
    """Let simulated time pass inside a program, which must ``yield from`` this."""
    from pydynaa import Entity, EventExpression, EventType

    if duration_ns > 0:
        alarm = Entity()
        ring = EventType("CALIGO_ALARM", "a timing barrier opens")
        alarm._schedule_after(duration_ns, ring)
        yield EventExpression(source=alarm, event_type=ring)


def run(config: Any, programs: dict[str, Any], num_times: int = 1) -> None:
    """Run ``programs`` on the network; SquidASM's state is the process's own, so one at a time."""
    from squidasm.run.stack.run import run as squidasm_run
    from squidasm.sim.stack.common import LogManager

    LogManager.set_log_level("WARNING")
    squidasm_run(config, programs, num_times)


@contextmanager
def seeded(seed: np.random.SeedSequence, formalism: str) -> Iterator[None]:
    """Seed NetSquid and both global generators that third-party code draws from.

    The global ones are as before afterwards.
    """
    import netsquid

    simulator, python, numpy = (int(word) for word in seed.generate_state(3))
    netsquid.set_qstate_formalism(getattr(netsquid.QFormalism, formalism.upper()))
    netsquid.set_random_state(seed=simulator)
    with global_generators(python, numpy):
        yield
