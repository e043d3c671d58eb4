"""The parts of the squidasm and netqasm wheels that the engine leans on are as it takes them to be."""

import inspect
from dataclasses import fields
from importlib.metadata import version

import pytest

from caligo_mpi.engines.netsquid import probe

if probe():
    pytest.skip("runs in the environment of tests/netsquid_env.sh", allow_module_level=True)


def parameters(function):
    return {
        name: p.default
        for name, p in inspect.signature(function).parameters.items()
        if name != "self"
    }


def test_these_are_the_versions_that_were_read():
    assert version("squidasm") == "0.13.6"
    assert version("netqasm") == "2.0"


def test_run_takes_a_network_programs_by_node_name_and_a_number_of_times():
    from squidasm.run.stack.run import run

    assert list(parameters(run)) == ["config", "programs", "num_times"]


def test_run_resets_the_simulation_and_not_the_random_state():
    from squidasm.run.stack import run as module

    source = inspect.getsource(module)
    assert source.count("ns.sim_reset()") == 1
    assert "random" not in source


def test_network_models_have_the_fields_that_are_set():
    from squidasm.run.stack import config

    models = (config.StackNetworkConfig, config.StackConfig, config.LinkConfig, config.CLinkConfig)
    assert [set(model.model_fields) for model in models] == [
        {"stacks", "links", "clinks"},
        {"name", "qdevice_typ", "qdevice_cfg"},
        {"stack1", "stack2", "typ", "cfg"},
        {"stack1", "stack2", "typ", "cfg"},
    ]


def test_link_types_and_configurations_are_handed_on_unchanged():
    from squidasm.run.stack import config

    link = config.LinkConfig(
        stack1="a", stack2="b", typ="heralded-double-click", cfg={"length": 1.0}
    )
    network = config._convert_stack_network_config(
        config.StackNetworkConfig(stacks=[], links=[link])
    )
    assert (network.qlinks[0].typ, network.qlinks[0].cfg) == (
        "heralded-double-click",
        {"length": 1.0},
    )


def test_classical_links_default_to_instant():
    from squidasm.run.stack import config

    stacks = [config.StackConfig(name=name, qdevice_typ="generic") for name in "ab"]
    network = config._convert_stack_network_config(
        config.StackNetworkConfig(stacks=stacks, links=[])
    )
    assert [link.typ for link in network.clinks] == ["instant"]


def test_a_program_needs_a_description_and_a_generator():
    from squidasm.sim.stack.host import Host
    from squidasm.sim.stack.program import ProgramContext, ProgramMeta

    assert [field.name for field in fields(ProgramMeta)] == [
        "name",
        "csockets",
        "epr_sockets",
        "max_qubits",
    ]
    assert inspect.getsource(Host.run).count("self._program.") == 2  # .meta and .run(context)
    assert all(
        hasattr(ProgramContext, name)
        for name in ("connection", "csockets", "epr_sockets", "app_id")
    )


def test_pairs_are_asked_for_by_number_and_can_come_uncorrected():
    from netqasm.sdk.epr_socket import EPRSocket

    assert parameters(EPRSocket.create_keep)["number"] == 1
    received = parameters(EPRSocket.recv_keep_with_info)
    assert (received["number"], received["expect_phi_plus"]) == (1, True)


def test_bell_states_are_numbered_as_the_pauli_frame_takes_them():
    from netqasm.qlink_compat import BellState

    assert [state.name for state in BellState] == ["PHI_PLUS", "PSI_PLUS", "PSI_MINUS", "PHI_MINUS"]
    assert [state.value for state in BellState] == [0, 1, 2, 3]


def test_the_receiver_s_bell_state_is_what_the_link_reports():
    from squidasm.sim.stack.netstack import Netstack

    assert "value = result.bell_state.value" in inspect.getsource(
        Netstack.handle_receive_ck_request
    )


def test_classical_sockets_send_at_once_and_receive_in_a_generator():
    from squidasm.sim.stack.csocket import ClassicalSocket

    assert not inspect.isgeneratorfunction(ClassicalSocket.send_structured)
    assert inspect.isgeneratorfunction(ClassicalSocket.recv_structured)


def test_the_generic_device_has_no_read_out_error():
    """The engine adds it; if a version models it, it would count twice for whoever sets both."""
    from squidasm.run.stack.config import GenericQDeviceConfig

    assert not [
        name
        for name in GenericQDeviceConfig.model_fields
        if "measure" in name and "time" not in name
    ]
