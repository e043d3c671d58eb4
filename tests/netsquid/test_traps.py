"""What SquidASM does otherwise than one would think: still so in the wheels, and the engine does not fall for it."""

import numpy as np
import pytest

from caligo_mpi.config import NetsquidConfig
from caligo_mpi.engines.netsquid import NetsquidEngine, probe, simulator
from caligo_mpi.engines.netsquid.programs import Party, share
from caligo_mpi.engines.netsquid.simulator import ALICE, BOB
from caligo_mpi.pairs import bits, tally

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)

SEED = np.random.SeedSequence(12)


def config(**fields):
    return NetsquidConfig.model_validate(
        {"name": "netsquid", "link": {"type": "perfect"}, **fields}
    )


class Program:
    """A few lines of SDK code as one side's program; ``talk(context, socket)`` is a generator."""

    def __init__(self, name, peer, talk, qubits=2):
        self.name, self.peer, self.talk, self.qubits = name, peer, talk, qubits

    @property
    def meta(self):
        return simulator.meta(self.name, self.peer, hold=self.qubits)

    def run(self, context):
        yield from self.talk(context, context.epr_sockets[self.peer])
        return {}


def run(alice, bob, *, num_times=1, qubits=2, link=None):
    network = simulator.network(config(), hold=qubits)
    if link:
        network.links[0].typ, network.links[0].cfg = link
    with simulator.seeded(SEED, "dm"):
        programs = {
            ALICE: Program(ALICE, BOB, alice, qubits),
            BOB: Program(BOB, ALICE, bob, qubits),
        }
        simulator.run(network, programs, num_times)


def parties(bases, hold, link, rounds=100):
    """Alice and Bob as the engine has them, on a link that the configuration does not offer."""
    network = simulator.network(config(), hold=hold)
    network.links[0].typ, network.links[0].cfg = link
    alice = Party(ALICE, bases=bases, hold=hold, rounds=rounds)
    bob = Party(BOB, bases=bases, hold=hold, rounds=rounds)
    with simulator.seeded(SEED, "dm"):
        simulator.run(network, {ALICE: alice, BOB: bob}, -(-len(bases) // (hold * rounds)))
    return np.array(alice.outcomes), np.array(bob.outcomes)


RANDOM_BELL_STATE = (
    "depolarise",
    {"fidelity": 1.0, "prob_success": 1.0, "t_cycle": 10.0, "random_bell_state": True},
)


def test_trap_1_measuring_in_x_by_the_sdk_s_own_option_fails():
    from netqasm.sdk.qubit import QubitMeasureBasis

    def alice(context, socket):
        socket.create_keep()[0].measure(basis=QubitMeasureBasis.X)
        yield from context.connection.flush()

    def bob(context, socket):
        socket.recv_keep()[0].measure()
        yield from context.connection.flush()

    with pytest.raises(KeyError):
        run(alice, bob)


def test_trap_1_the_engine_measures_in_x_where_it_says_so():
    """T2 is off in Z and on in X, which only a real X measurement shows."""
    fields = {"device": {"T2_ns": 1e-3, "measure_time_ns": 10}, "hold": 2}
    counts = tally(NetsquidEngine(config(**fields)).sample(600, SEED).columns, 600)
    assert counts.errors_z == 0
    assert abs(counts.errors_x / counts.sifted_x - 0.5) < 4.9 * np.sqrt(0.25 / counts.sifted_x)


def test_trap_2_random_bases_asked_of_the_link_are_dropped():
    from netqasm.qlink_compat import EPRType, RandomBasis
    from netqasm.sdk.build_epr import EntRequestParams, serialize_request
    from qlink_interface import RandomBasis as LinkBasis
    from squidasm.sim.stack.netstack import Netstack

    params = EntRequestParams(
        remote_node_id=1, epr_socket_id=0, number=1, post_routine=None, sequential=False,
        random_basis_local=RandomBasis.XZ,
    )  # fmt: skip
    asked = serialize_request(EPRType.M, params)
    assert RandomBasis.XZ.value in asked
    assert Netstack._construct_request(None, 1, asked).random_basis_local is LinkBasis.NONE


def test_trap_2_the_engine_s_bases_are_what_it_drew_and_used():
    """Bases that were dropped would leave all outcomes equal; columns that differ from what was done would not sift."""
    pairs = NetsquidEngine(config()).sample(1000, SEED)
    a_basis, a, b_basis, b = (bits.unpack(column, 1000) for column in pairs.columns)
    assert 400 < a_basis.sum() < 600
    assert ((a != b)[a_basis != b_basis]).mean() > 0.4
    assert not (a != b)[a_basis == b_basis].any()


def test_trap_3_the_sdk_corrects_the_wrong_qubits_when_several_pairs_are_held():
    got = []

    def alice(context, socket):
        outcomes = [qubit.measure() for qubit in socket.create_keep(number=5)]
        yield from context.connection.flush()
        got.append([int(m) for m in outcomes])

    def bob(context, socket):
        outcomes = [qubit.measure() for qubit in socket.recv_keep(number=5)]
        yield from context.connection.flush()
        got.append([int(m) for m in outcomes])

    run(alice, bob, num_times=40, qubits=5, link=RANDOM_BELL_STATE)
    a, b = np.array(got[0::2]), np.array(got[1::2])
    assert (a != b)[:, 1:].mean() > 0.3


@pytest.mark.parametrize("hold", [1, 5])
def test_trap_3_the_engine_allows_for_each_pair_s_own_bell_state(hold):
    bases = np.arange(400, dtype=np.uint8) % 3 % 2
    alice, bob = parties(bases, hold, RANDOM_BELL_STATE, rounds=20)
    np.testing.assert_array_equal(alice, bob)


def test_trap_4_a_qubit_left_unmeasured_spoils_the_next_program_run():
    got = []

    def alice(context, socket):
        socket.create_keep(number=2)
        yield from context.connection.flush()

    def bob(context, socket):
        outcomes = [qubit.measure() for qubit in socket.recv_keep(number=2)]
        yield from context.connection.flush()
        got.append(outcomes)

    with pytest.raises((RuntimeError, StopIteration)):
        run(alice, bob, num_times=2)
    assert len(got) == 1


def test_trap_4_the_engine_leaves_no_qubit_behind():
    from squidasm.sim.stack.globals import GlobalSimData

    NetsquidEngine(config(hold=3)).sample(
        100, SEED
    )  # the last request is cut, the simulation is not
    devices = GlobalSimData.get_network().qdevices
    assert {
        name: sum(p.in_use for p in device.mem_positions) for name, device in devices.items()
    } == {ALICE: 0, BOB: 0}


def labels_after(requests, receive):
    """Branch labels that Bob's connection remembers after so many requests for one pair."""
    known = []

    def alice(context, socket):
        for _ in range(requests):
            yield from share(context, BOB, [0], creates=True)

    def bob(context, socket):
        for _ in range(requests):
            yield from receive(context, socket)
            known.append(len(context.connection.builder._label_mgr._labels))

    run(alice, bob)
    return known


def test_trap_5_the_sdk_s_corrections_leave_labels_behind_that_slow_every_later_request():
    def receive(context, socket):
        socket.recv_keep()[0].measure()
        yield from context.connection.flush()

    first, *_, last = labels_after(10, receive)
    assert last == 10 * first > 0


def test_trap_5_the_engine_s_requests_leave_none():
    def receive(context, socket):
        yield from share(context, ALICE, [0], creates=False)

    assert labels_after(10, receive) == [0] * 10


@pytest.mark.parametrize("hold", [1, 10, 150])
def test_trap_5_the_engine_s_connections_are_short(hold):
    """A program run has its own connection; each shares about a hundred pairs."""
    from squidasm.sim.stack.globals import GlobalSimData

    NetsquidEngine(config(hold=hold)).sample(300, SEED)
    runs = [len(stack.host.get_results()) for stack in GlobalSimData.get_network().stacks.values()]
    assert runs == ([2, 2] if hold == 150 else [3, 3])


def test_trap_6_loss_stretches_time_and_drops_no_round():
    lossy = config(link={"fidelity": 1.0, "prob_success": 0.05, "cycle_time_ns": 1000})
    pairs = NetsquidEngine(lossy).sample(200, SEED)
    assert pairs.count == 200
    assert pairs.index is None
    assert pairs.duration_ns > 10 * 200 * 1000


def test_trap_7_a_pair_measured_at_once_does_not_decohere():
    device = {"T1_ns": 1.0, "T2_ns": 1.0, "measure_time_ns": 1e6, "single_qubit_gate_time_ns": 1e6}
    counts = tally(NetsquidEngine(config(device=device)).sample(200, SEED).columns, 200)
    assert counts.errors_z == counts.errors_x == 0


def test_trap_8_a_device_with_one_qubit_would_compile_to_moves():
    from netqasm.sdk.build_types import GenericHardwareConfig

    assert GenericHardwareConfig(1).comm_qubit_count == 1
    assert simulator.memory(1) == 2
    assert simulator.memory(7) == 7
