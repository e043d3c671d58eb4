"""Settings by file, environment and command line: one precedence, shown by validate, one sentence for each mistake."""

from __future__ import annotations

import json

import pytest
from helpers import environment, one_sentence

from caligo_mpi import load_config, status
from caligo_mpi.config.settings import from_environment, variables
from caligo_mpi.errors import ConfigError, EnvironmentProblem

GIVEN = {"schedule": "static", "faults": {"restarts": 7}, "mpi": {"binding": "none"}}


def sources(result):
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)["settings"]
    return {path: (one["value"], one["source"]) for path, one in found.items()}


def test_the_command_line_goes_over_the_environment_over_the_file(caligo, write_config):
    config = write_config(**GIVEN)
    env = environment(CALIGO_MPI_SCHEDULE_POLICY="guided", CALIGO_MPI_FAULTS_RESTARTS="8")
    found = sources(caligo("validate", config, "--json", "--set", "faults.restarts=9", env=env))
    assert found["mpi.binding"] == ("none", "file")
    assert found["schedule.policy"] == ("guided", "environment: CALIGO_MPI_SCHEDULE_POLICY")
    assert found["faults.restarts"] == (9, "command line")
    assert found["faults.mode"] == ("restart", "default")
    assert found["output.durability"] == ("flush", "default")


def test_a_section_on_the_command_line_replaces_all_of_it(caligo, write_config):
    config = write_config(**GIVEN)
    env = environment(CALIGO_MPI_FAULTS_RESTARTS="8")
    found = sources(caligo("validate", config, "--json", "--set", "faults=survive", env=env))
    assert found["faults.mode"] == ("survive", "command line")
    assert found["faults.restarts"] == (100, "default")


def test_validate_tells_people_too(caligo, write_config):
    out = caligo("validate", write_config(**GIVEN)).stdout
    assert "# settings, none of which changes a bit" in out
    assert "#   schedule.policy          static    file" in out


def test_every_setting_has_a_variable_that_is_its_path_in_capitals():
    found = variables()
    assert found["CALIGO_MPI_BINDING"] == "mpi.binding"
    assert found["CALIGO_MPI_FAULTS_RETRIES"] == "faults.retries"
    assert not {"output.path", "output.keep"} & set(found.values())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CALIGO_MPI_BINDNG", "core", ["did you mean CALIGO_MPI_BINDING?"]),
        ("CALIGO_MPI_EAGER", "1", ["is no setting"]),
        ("CALIGO_MPI_BINDING", "cores", ["CALIGO_MPI_BINDING=", "must be auto or none or core"]),
        ("CALIGO_MPI_RANKS", "-1", ["CALIGO_MPI_RANKS=", "whole number from 1 to"]),
        ("CALIGO_MPI_SCHEDULE_POLICY", "best", ["must be static or dynamic"]),
    ],
)
def test_wrong_variables_are_one_sentence(caligo, write_config, name, value, words):
    result = caligo("generate", write_config(), env=environment(**{name: value}))
    one_sentence(result, *words)
    with pytest.raises(EnvironmentProblem):
        from_environment({name: value})


def test_variables_that_are_empty_or_of_others_say_nothing():
    assert from_environment({"CALIGO_MPI_BINDING": "", "CALIGO_MPIRUN": "x", "PATH": "y"}) == []


@pytest.mark.mpi
def test_ranks_by_the_file_and_by_the_environment(caligo, tmp_path, write_config):
    config = write_config(mpi={"ranks": 2})
    assert caligo("generate", config, "-q", "-o", "a.h5").returncode == 0
    env = environment(CALIGO_MPI_RANKS="3")
    assert caligo("generate", config, "-q", "-o", "b.h5", env=env).returncode == 0
    assert caligo("generate", config, "-q", "-o", "c.h5", "--ranks", 1, env=env).returncode == 0
    for name, ranks in (("a", 2), ("b", 3), ("c", 1)):
        assert status(tmp_path / f"{name}.h5").runs["ranks"].tolist() == [ranks]


def test_settings_are_no_part_of_a_runs_identity(write_config):
    plain, other = load_config(write_config()), load_config(write_config(mpi={"binding": "core"}))
    assert plain.digest(1) == other.digest(1)
    assert "mpi" not in plain.resolved()
    assert other.resolved()["mpi"] == {"binding": "core"}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("eager_limit", "32 KiB"),
        ("use_rdma", "transport"),
        ("processes_per_node", "mpi.ranks"),
        ("huge_pages", "gained nothing"),
        ("shared_memory_size", "32 MiB"),
        ("binding_strategy", "mpi.binding"),
    ],
)
def test_names_of_other_programs_are_answered(write_config, name, word):
    with pytest.raises(ConfigError, match=word):
        load_config(write_config(mpi={name: 1}))
    with pytest.raises(ConfigError, match=word):
        load_config(write_config(**{name: 1}))
