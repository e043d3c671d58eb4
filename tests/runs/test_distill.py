"""From a pairs file to a keys file: the same keys on any number of ranks and after any kill; an abort is a result."""

from __future__ import annotations

import functools
import itertools
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
import yaml
from helpers import ROOT, environment, flip_bit, of_version_1, one_sentence

import caligo_mpi
from caligo_mpi import store
from caligo_mpi.errors import ConfigError, StoreError
from caligo_mpi.pairs import CHUNK_DTYPE, COLUMNS, bits
from caligo_mpi.parallel.job import Rules
from caligo_mpi.parallel.serial import serial_map
from caligo_mpi.protocol.run import run_block
from caligo_mpi.protocol.types import Abort, Block, Premises
from caligo_mpi.runs import devices
from caligo_mpi.runs.blocks import Finished
from caligo_mpi.runs.distill import distill, preflight, prepare
from caligo_mpi.runs.generate import generate
from caligo_mpi.store.keys import KeysStore, is_keys_file, keys_status, read_keys, verify_keys
from caligo_mpi.store.records import seal

PROTOCOL = {"mode": "bbm92", "seed": 5, "block_size": 100_000, "test_fraction": 0.2}
ROT = {"mode": "rot", "seed": 5, "storage_r": 0.75, "storage_rate": 0.002}
# Golden: on every machine and every version of numpy, on any number of ranks.
DIGEST = "d05a0b7c7c9869c2f1a4b24ee6d14a44669fe62960ec2879715fbefb5000e1e7"
# What it was with the random streams of version 1.
DIGEST_1 = "87d93e81cefc815f31cc8f8c72db408e202be0277a991e6ae942e21e8accb2f6"


def run_config(**changes):
    engine = {"name": "noise", "link": {"fidelity": 0.985}}
    return caligo_mpi.parse_config(
        {"pairs": 620_000, "seed": 3, "chunk_size": 1 << 16, "engine": engine, **changes}
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pairs file of ten chunks, from which six blocks are made; none begins where a chunk does."""
    path = tmp_path_factory.mktemp("made") / "run.h5"
    generate(run_config(), path)
    return path


@pytest.fixture
def run(made, tmp_path):
    """The same in the test's own directory, with the protocol's configuration beside it."""
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(PROTOCOL))
    return shutil.copy(made, tmp_path / "run.h5")


@pytest.fixture(scope="module")
def distilled(made):
    path = made.with_name("keys.h5")
    distill(job(made), path)
    return path


@pytest.fixture
def finished(run, distilled):
    """Its keys, beside it."""
    return shutil.copy(distilled, run.with_name("keys.h5"))


def keys_of(task, path):
    """Distill into ``path`` and read the keys back."""
    distill(task, path)
    return read_keys(path)


def job(run, **changes):
    return prepare(run, caligo_mpi.parse_protocol({**PROTOCOL, **changes}))


COMMAND = ("distill", "run.h5", "--config", "p.yaml", "-o", "keys.h5")


# ── the keys ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_parties_get_the_same_key_and_it_is_the_one_of_the_run_in_memory(
    caligo, run, tmp_path
):
    result = caligo(*COMMAND, "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["key"], summary["blocks"], summary["aborts"]) == ("equal", 6, [])
    assert summary["keys_digest"] == DIGEST
    keys = read_keys(tmp_path / "keys.h5")
    assert keys.alice.tobytes() == keys.bob.tobytes()
    in_memory = caligo_mpi.run_protocol(caligo_mpi.read_pairs(run), PROTOCOL)
    assert (keys.key_bits, keys.alice.tobytes()) == (in_memory.key_bits, in_memory.alice.tobytes())
    assert keys.key_bits == summary["key_bits"] == keys.blocks["key_bits"].sum() > 100_000
    assert keys.blocks["count"].sum() == 620_000
    assert (
        keys.transcript["leak_bits"].sum() == keys.blocks["leak_bits"].sum() == summary["leak_bits"]
    )


@pytest.mark.mpi
@pytest.mark.parametrize(("ranks", "bare"), [(2, True), (3, False)])
def test_any_number_of_ranks_gives_the_same_keys(run, tmp_path, mpirun, ranks, bare):
    line, env = mpirun(ranks)
    command = [
        sys.executable,
        *(["-m", "caligo_mpi", "distill"] if not bare else [str(ROOT / "jobs/distill.py")]),
    ]
    command += COMMAND[1:]
    command = [*line, *command] if bare else [*command, "--ranks", str(ranks)]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"  keys digest {DIGEST}"
    assert read_keys(tmp_path / "keys.h5").digest == DIGEST
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["keys.h5", "p.yaml", "run.h5"]


def test_another_seed_gives_another_key(run, tmp_path):
    one, other = (keys_of(job(run, seed=seed), tmp_path / f"{seed}.h5") for seed in (5, 6))
    assert one.digest != other.digest
    n = min(one.key_bits, other.key_bits)
    assert 0.49 < (bits.unpack(one.alice, n) ^ bits.unpack(other.alice, n)).mean() < 0.51  # 6 σ


def test_lossy_pairs_are_distilled(tmp_path):
    arm = {"detector_efficiency": 0.7, "dark_count_probability": 1e-4}
    engine = {"name": "noise", "link": {"fidelity": 0.99}, "loss": {"alice": arm, "bob": arm}}
    generate(run_config(engine=engine), tmp_path / "run.h5")
    found = job(tmp_path / "run.h5", block_size=150_000)
    keys = keys_of(found, tmp_path / "keys.h5")
    assert len(keys.blocks) == 2
    assert keys.agree
    assert keys.key_bits > 20_000


# ── resuming, completing, refusing ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_a_killed_or_stopped_run_goes_on_to_the_same_file(caligo, run, tmp_path, number, code):
    process = subprocess.Popen(
        [sys.executable, "-m", "caligo_mpi", *COMMAND], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    part = tmp_path / "keys.h5.part"
    end = time.monotonic() + 60
    while not part.exists() or keys_status(part).blocks_done < 1:
        assert time.monotonic() < end
        time.sleep(0.002)
    process.send_signal(number)
    assert process.wait(30) == code
    assert not (tmp_path / "keys.h5").exists()
    stopped = json.loads(caligo("status", "keys.h5", "--json").stdout)
    assert 1 <= stopped["blocks_done"] < 6
    assert not stopped["complete"]
    result = caligo(*COMMAND)
    assert result.returncode == 0, result.stderr
    assert f"{stopped['blocks_done']} of 6 blocks are in" in result.stderr
    assert read_keys(tmp_path / "keys.h5").digest == DIGEST
    assert verify_keys(tmp_path / "keys.h5").ok
    assert not part.exists()


def stopped_after(run, path, blocks):
    """Distill so many blocks more, and leave the partial file of a stopped run behind."""
    done = distill(job(run), path, map=lambda setup, items: serial_map(setup, items[:blocks]))
    assert keys_status(path).blocks_done == done.blocks_done
    return done


def test_a_second_stop_request_ends_within_a_block(run, tmp_path):
    # The first question comes before the block, the others from within it.
    questions = itertools.count()
    path = tmp_path / "keys.h5"
    done = distill(
        job(run),
        path,
        map=functools.partial(serial_map, rules=Rules(stop=lambda: 2 * (next(questions) > 5))),
    )
    assert (done.blocks_done, done.keys) == (0, None)
    assert distill(job(run), path).keys.digest == DIGEST


@pytest.mark.parametrize("blocks", [0, 1, 5])
def test_keys_begun_with_older_streams_go_on_with_them(caligo, run, tmp_path, blocks):
    old = of_version_1(job(run))
    distill(old, tmp_path / "keys.h5", map=lambda setup, items: serial_map(setup, items[:blocks]))
    assert keys_status(tmp_path / "keys.h5").info.stream_version == 1
    result = caligo(*COMMAND)
    assert result.returncode == 0, result.stderr
    assert f"{blocks} of 6 blocks are in" in result.stderr
    keys = read_keys(tmp_path / "keys.h5")
    assert (keys.digest, keys.info.stream_version) == (DIGEST_1, 1)
    assert verify_keys(tmp_path / "keys.h5").ok
    assert "already complete" in caligo(*COMMAND).stderr
    one_sentence(
        caligo(*COMMAND, "--set", "seed=6"), "keys.h5 belongs to another protocol configuration"
    )


@pytest.mark.parametrize("damage", ["torn", "flipped"])
def test_a_damaged_record_is_made_again(run, tmp_path, damage):
    stopped_after(run, tmp_path / "keys.h5", 3)
    part = tmp_path / "keys.h5.part"
    raw = bytearray(part.read_bytes())
    if damage == "torn":
        del raw[-100:]
    else:
        raw[-100] ^= 1
    part.write_bytes(raw)
    assert not verify_keys(part).ok
    assert "2 of 6 blocks are in" in stopped_after(run, tmp_path / "keys.h5", 2).messages[0]
    done = distill(job(run), tmp_path / "keys.h5")
    assert "4 of 6 blocks are in" in done.messages[0]
    assert done.keys.digest == DIGEST


def test_a_kill_while_publishing_leaves_nothing_behind(run, tmp_path):
    stopped_after(run, tmp_path / "keys.h5", 6 - 1)
    shutil.copy(tmp_path / "keys.h5.part", tmp_path / "kept")
    distill(job(run), tmp_path / "keys.h5")
    shutil.move(tmp_path / "kept", tmp_path / "keys.h5.part")
    assert "already complete" in distill(job(run), tmp_path / "keys.h5").messages[0]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["keys.h5", "p.yaml", "run.h5"]


def test_a_complete_file_is_left_alone_and_others_are_refused_or_set_aside(
    caligo, run, finished, tmp_path
):
    before = finished.read_bytes()
    result = caligo(*COMMAND)
    assert result.returncode == 0
    assert "keys.h5 is already complete" in result.stderr
    assert DIGEST in result.stdout
    one_sentence(
        caligo(*COMMAND, "--set", "seed=6"),
        "keys.h5 belongs to another protocol configuration (seed=5 there and 6 here)",
        "--force",
    )
    generate(run_config(pairs=1000), tmp_path / "other.h5")
    with pytest.raises(
        StoreError, match=r"keys\.h5 comes from other pairs \(run\.h5, .*; other\.h5 has"
    ):
        distill(job(tmp_path / "other.h5"), finished)
    assert finished.read_bytes() == before
    distill(job(tmp_path / "other.h5"), finished, force=True)
    assert (tmp_path / "keys.h5.old-1").read_bytes() == before
    assert read_keys(finished).info.source == "other.h5"


def test_another_runs_partial_file_is_refused(run, tmp_path):
    stopped_after(run, tmp_path / "keys.h5", 2)
    with pytest.raises(StoreError, match="another protocol configuration"):
        distill(job(run, seed=6), tmp_path / "keys.h5")
    distill(job(run, seed=6), tmp_path / "keys.h5", force=True)
    assert keys_status(tmp_path / "keys.h5.part.old-1").blocks_done == 2


def test_what_is_not_ours_is_never_overwritten(run, tmp_path):
    (tmp_path / "thesis.h5").write_bytes(b"my thesis")
    (tmp_path / "new.h5.part").write_bytes(b"pairs of a run that goes on")
    for output, words in (
        ("thesis.h5", r"thesis\.h5 is not an HDF5 file with keys.* it is not overwritten"),
        ("run.h5", r"run\.h5 is the pairs file itself"),
        ("nowhere/keys.h5", "nowhere is not a directory; create it"),
        ("new.h5", r"new\.h5\.part is in the way"),
    ):
        for attempt in (preflight, distill):
            with pytest.raises(StoreError, match=words):
                attempt(job(run), tmp_path / output)
    with pytest.raises(StoreError, match="is the pairs file itself"):
        distill(job(run), run, force=True)
    assert (tmp_path / "thesis.h5").read_bytes() == b"my thesis"
    assert (tmp_path / "new.h5.part").read_bytes() == b"pairs of a run that goes on"


def test_two_writers_are_refused(run, tmp_path):
    first = KeysStore.open(tmp_path / "keys.h5", job(run).info, launch={})
    with first, pytest.raises(StoreError, match="is being written by launch"):
        distill(job(run), tmp_path / "keys.h5")


def test_what_cannot_be_distilled_is_one_sentence(caligo, run, tmp_path):
    one_sentence(
        caligo(*COMMAND, "--set", "storage_r=0.2"),
        "--set storage_r=0.2: unknown key; only with mode: rot",
    )
    one_sentence(caligo("distill", "none.h5", *COMMAND[2:]), "none.h5 does not exist")
    with pytest.raises(StoreError, match=r"p\.yaml is not an HDF5 file with pairs"):
        job(tmp_path / "p.yaml")


def test_unfinished_pairs_are_refused(run, tmp_path):
    part = tmp_path / "half.h5"
    generate(run_config(), part, map=lambda setup, items: serial_map(setup, items[:4]))
    with pytest.raises(StoreError, match=r"half\.h5\.part is not finished \(262,144 rows so far\)"):
        job(tmp_path / "half.h5.part")


# ── aborts ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_abort_is_a_result(caligo, run, tmp_path):
    result = caligo(*COMMAND, "-q", "--set", "qber_limit=0.005")
    assert result.returncode == 0
    assert result.stderr == ""
    *_, key, abort, helps, _ = result.stdout.splitlines()
    assert key == "  key: none"
    assert abort.startswith(
        "  aborted, 6 blocks from block 0 on: estimate: the error rate is over the limit (qber=0.0"
    )
    assert helps.startswith("    what helps: ")
    keys = read_keys(tmp_path / "keys.h5")
    assert (keys.key_bits, keys.alice.size, keys.bob.size) == (0, 0, 0)
    assert set(keys.blocks["abort_step"]) == {b"estimate"}
    assert json.loads(keys.blocks["abort_numbers"][0])["qber_limit"] == 0.005
    assert verify_keys(tmp_path / "keys.h5").ok


@pytest.mark.parametrize("protocol", [PROTOCOL, ROT])
@pytest.mark.parametrize("pairs", [1, 100])
def test_too_few_pairs_abort(tmp_path, pairs, protocol):
    generate(run_config(pairs=pairs), tmp_path / "run.h5")
    keys = keys_of(
        prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(protocol)), tmp_path / "keys.h5"
    )
    assert keys.key_bits == 0
    assert keys.blocks["abort_reason"][0].startswith((b"too few pairs", b"qber="))
    assert verify_keys(tmp_path / "keys.h5").ok


# ── tampering ────────────────────────────────────────────────────────────────────────────────────────────────


def flip(path, name, byte):
    """Flip a bit in the middle of a dataset."""
    with h5py.File(path) as file:
        start = file[name].id.get_offset()
    flip_bit(path, start + byte)


@pytest.mark.mpi
def test_changed_pairs_give_no_key(caligo, run, mpirun, tmp_path):
    mpirun(2)
    flip(run, "pairs/bob_outcome", 5 * 8192 + 17)
    with pytest.raises(StoreError, match=r"run\.h5: chunk 5 is damaged .* restore the file"):
        distill(job(run), tmp_path / "keys.h5")
    assert not (tmp_path / "keys.h5").exists()
    assert keys_status(tmp_path / "keys.h5").blocks_done == 3
    one_sentence(
        caligo(*COMMAND[:-1], "other.h5", "-q", "--ranks", "2"), "run.h5: chunk 5 is damaged"
    )


def test_pairs_with_new_checksums_do_not_have_the_data_digest(run):
    flip(run, "pairs/bob_outcome", 5 * 8192 + 17)
    with h5py.File(run, "r+") as file:
        columns = np.stack([file[f"pairs/{name}"][5 * 8192 : 6 * 8192] for name in COLUMNS])
        record = np.frombuffer(bytearray(file["chunks"][5].tobytes()), CHUNK_DTYPE).reshape(())
        record["checksum"] = caligo_mpi.Pairs(columns, 1 << 16).checksum()
        seal(record)
        file["chunks"][5] = record[()]
    with pytest.raises(StoreError, match=r"run\.h5: its records do not have the data digest"):
        job(run)


@pytest.mark.parametrize("name", ["alice/key", "bob/key", "blocks", "transcript"])
def test_a_changed_keys_file_is_noticed(finished, name):
    assert verify_keys(finished).ok
    flip(finished, name, 100)
    found = verify_keys(finished)
    assert not found.ok
    assert found.checksum_fits is False
    assert found.agree is not name.endswith("key")
    with pytest.raises(StoreError, match=r"keys\.h5 is damaged"):
        read_keys(finished)


def test_verify_says_whether_a_keys_file_is_well(caligo, finished):
    good = json.loads(caligo("verify", "keys.h5", "--json").stdout)
    assert (good["ok"], good["keys_agree"], good["blocks"]) == (True, True, 6)
    flip(finished, "bob/key", 100)
    bad = caligo("verify", "keys.h5")
    assert bad.returncode == 1
    assert "DAMAGED" in bad.stdout
    assert "Bob does not have the key that he should" in bad.stdout


def test_different_keys_are_never_called_well(run, finished, tmp_path):
    keys = read_keys(finished)
    bob = keys.bob.copy()
    bob[7] ^= 1
    store.keys.write_file(tmp_path / "wrong.h5", replace(keys, bob=bob))
    found = verify_keys(tmp_path / "wrong.h5")
    assert (found.checksum_fits, found.digest_fits, found.agree, found.ok) == (
        True,
        True,
        False,
        False,
    )


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_partys_group_holds_nothing_of_the_other(run, finished, tmp_path):
    keys = read_keys(finished)
    with h5py.File(tmp_path / "keys.h5") as file, h5py.File(tmp_path / "alice.h5", "w") as alone:
        file.copy("alice", alone)
        assert list(file["alice"]) == ["key"]
        assert set(file["alice"].attrs) == {
            "party",
            "mode",
            "key_bits",
            "source_digest",
            "config_digest",
        }
    with h5py.File(tmp_path / "alice.h5") as alone:
        size = int(alone["alice"].attrs["key_bits"])
        mine = np.unpackbits(alone["alice/key"][:], count=size, bitorder="little")
    assert (mine == bits.unpack(keys.alice, keys.key_bits)).all()


def test_key_of_a_block_stands_where_the_table_says(run, finished, tmp_path):
    found = job(run)
    keys = read_keys(finished)
    row = keys.blocks[4]
    alone = caligo_mpi.read_pairs(run, int(row["start"]), int(row["start"] + row["count"]))
    result = run_block(alone.packed(), found.config, block=found.plan[4], blocks=6)
    part = bits.extract(keys.bob, int(row["key_start"]), int(row["key_bits"]))
    assert part.tobytes() == result.bob.tobytes()


def test_the_two_kinds_of_files_are_told_apart(caligo, run, finished, tmp_path):
    assert is_keys_file(tmp_path / "keys.h5")
    assert not is_keys_file(run)
    assert not is_keys_file(tmp_path / "none.h5")
    with pytest.raises(
        StoreError, match="has format='caligo-keys'; this reader knows 'caligo-pairs'"
    ):
        store.open_pairs(finished)
    one_sentence(caligo("verify", "keys.h5", "--resample", "2"), "resample=2 is for pairs files")
    assert "bbm92 on run.h5" in caligo("status", "keys.h5").stdout


@pytest.mark.parametrize(
    "number", range(len(re.findall("```python", (ROOT / "docs/keys-file.md").read_text())))
)
def test_the_snippets_of_the_keys_page_run(run, finished, tmp_path, number):
    snippet = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/keys-file.md").read_text(), re.DOTALL
    )[number]
    code = snippet + "\nassert checked\n"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment(), check=True
    )


def test_a_result_survives_the_way_between_ranks():
    pairs = caligo_mpi.generate_pairs(run_config(pairs=60_000)).packed()
    config = caligo_mpi.parse_protocol(PROTOCOL | {"epsilon_sec": 1e-4})
    result = run_block(pairs, config, block=Block(0, 0, 60_000), blocks=1)
    assert result.key_bits
    aborted = replace(
        result,
        estimate=None,
        abort=Abort("sift", "ε too small", {"a": np.float64(0.1), "n": np.int64(3)}),
    )
    for sent in (result, aborted):
        buffer = np.concatenate(Finished(sent).parts())
        got = Finished.whole(buffer).result
        assert got.alice.tobytes() == sent.alice.tobytes()
        assert got.bob.tobytes() == sent.bob.tobytes()
        nothing = np.zeros(0, np.uint8)
        assert repr(replace(got, alice=nothing, bob=nothing, abort=None)) == repr(
            replace(sent, alice=nothing, bob=nothing, abort=None)
        )
    assert got.abort == Abort("sift", "ε too small", {"a": 0.1, "n": 3})
    assert Finished.whole(np.concatenate(Finished(None, "no disk").parts())).error == "no disk"


# ── oblivious transfer ───────────────────────────────────────────────────────────────────────────────────────


def test_the_commands_of_the_readme_end_with_a_transfer(caligo, tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    lines = re.findall(
        r"^caligo-mpi (.*rot-pairs[^#\n]*)", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert [line.split()[0] for line in lines] == ["generate", "distill"]
    results = [caligo(*line.split(), "--json") for line in lines]
    assert [result.returncode for result in results] == [0, 0], results[1].stderr
    summary = json.loads(results[1].stdout)
    assert (summary["mode"], summary["key"], summary["aborts"]) == ("rot", "equal", [])
    keys = read_keys(tmp_path / "transfer.h5")
    assert keys.key_bits == summary["key_bits"] > 10_000
    assert (
        keys.bob.tobytes()
        == keys.alice[keys.choice].tobytes()
        != keys.alice[1 - keys.choice].tobytes()
    )
    for name in ("generate configs/rot-pairs.yaml", "distill rot-pairs.h5"):
        assert f"caligo-mpi {name}" in (ROOT / "configs/rot.yaml").read_text()


@pytest.mark.parametrize(
    "loss", [None, {"bob": {"detector_efficiency": 0.6}}], ids=["lossless", "lossy"]
)
@pytest.mark.parametrize("choice", [0, 1])
def test_bob_gets_the_string_of_his_choice_whatever_the_seeds(tmp_path, choice, loss):
    # A string is wrong in one run of a hundred or fewer (failure_target): more than two of these five, 1e-5; the codes
    # used here fail in fewer than one of 10⁴, false alarm 1e-11.
    decoded = []
    for seed in range(5):
        engine = {"name": "noise", "link": {"fidelity": 0.9985}, "loss": loss}
        generate(run_config(pairs=80_000, seed=seed, engine=engine), tmp_path / f"run{seed}.h5")
        found = prepare(
            tmp_path / f"run{seed}.h5",
            caligo_mpi.parse_protocol({**ROT, "seed": seed, "choice": choice}),
        )
        assert (found.source.alice_clicks > found.source.rows) == (loss is not None)
        keys = keys_of(found, tmp_path / f"keys{seed}.h5")
        assert (keys.choice, keys.agree, keys.blocks["abort_step"][0]) == (choice, True, b"")
        assert keys.key_bits > 1500
        decoded.append(bool(keys.hidden["decoded"][0]))
        assert (keys.bob.tobytes() == keys.alice[choice].tobytes()) == decoded[-1]
        assert keys.bob.tobytes() != keys.alice[1 - choice].tobytes()
    assert sum(decoded) >= 3


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"qber_limit": 0.0001}, b"estimate"),
        ({"storage_rate": 0.5}, b"amplify"),
        ({"failure_target": 1e-6}, b"reconcile"),
    ],
)
def test_a_transfer_that_cannot_be_is_an_abort(caligo, tmp_path, changes, step):
    engine = {"name": "noise", "link": {"fidelity": 0.993}}
    generate(run_config(pairs=40_000, engine=engine), tmp_path / "run.h5")
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**ROT, **changes}))
    result = caligo(*COMMAND, "-q")
    assert (result.returncode, result.stderr) == (0, "")
    assert "  key: none" in result.stdout.splitlines()
    keys = read_keys(tmp_path / "keys.h5")
    assert (keys.key_bits, keys.alice.size, keys.bob.size, keys.blocks["abort_step"][0]) == (
        0,
        0,
        0,
        step,
    )
    assert verify_keys(tmp_path / "keys.h5").ok


def test_a_transfer_is_stored_and_read_back(tmp_path):
    engine = {"name": "noise", "link": {"fidelity": 0.9995}}
    generate(run_config(pairs=40_000, engine=engine), tmp_path / "run.h5")
    keys = keys_of(
        prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(ROT)), tmp_path / "keys.h5"
    )
    in_memory = caligo_mpi.run_protocol(caligo_mpi.read_pairs(tmp_path / "run.h5"), ROT)
    assert keys.alice.tobytes() == in_memory.alice.tobytes()
    assert keys.alice.shape == (2, bits.nbytes(keys.key_bits))
    assert keys.key_bits > 500
    assert (
        keys.bob.tobytes()
        == keys.alice[keys.choice].tobytes()
        != keys.alice[1 - keys.choice].tobytes()
    )
    assert verify_keys(tmp_path / "keys.h5").ok
    with h5py.File(tmp_path / "keys.h5") as file:
        assert "choice" not in {*file.attrs, *file["alice"].attrs, *file["blocks"].dtype.names}
    wrong = replace(keys, bob=keys.alice[1 - keys.choice])
    assert not wrong.agree
    hidden = keys.hidden.copy()
    hidden["decoded"] = 0
    assert replace(wrong, hidden=hidden).agree


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"bob": {"basis_bias": 0.4}}, "engine.bob.basis_bias=0.4 must be 0.5"),
        ({"alice": {"p_read1_given0": 0.01}}, "engine.alice must read out symmetrically"),
        (
            {"alice": {"T1_ns": 100.0, "T2_ns": 100.0}},
            "engine.alice.T1_ns=100 must be 0 with formalism=dm",
        ),
    ],
)
def test_transfer_refuses_devices_that_tell_bases(tmp_path, engine, words):
    run = run_config(pairs=1000, engine={"name": "noise", "link": {"fidelity": 0.999}, **engine})
    generate(run, tmp_path / "run.h5")
    with pytest.raises(ConfigError) as caught:
        prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(ROT))
    assert str(caught.value).startswith(f"{tmp_path}/run.h5 cannot be used with mode=rot: {words}")
    assert "\n" not in str(caught.value)


def test_transfer_takes_devices_it_may_trust():
    good = {
        "alice": {"readout_flip": 0.01, "T1_ns": 9.0, "T2_ns": 9.0, "storage_time_ns": 1.0},
        "formalism": "ket",
    }
    run = run_config(engine={"name": "noise", "link": {"fidelity": 0.99}, **good})
    devices.require_transfer(run, source="run.h5")
    equal = {"bob": {"p_read1_given0": 0.01, "p_read0_given1": 0.01}}
    devices.require_transfer(
        run_config(engine={"name": "noise", "link": {"fidelity": 0.99}, **equal}), source="run.h5"
    )


def test_nothing_is_taken_for_granted_of_another_packages_engine():
    plugin = caligo_mpi.RunConfig.from_json('{"pairs": 1, "seed": 1, "engine": {"name": "theirs"}}')
    with pytest.raises(
        ConfigError, match=r"nothing is known of how the devices of engine\.name=theirs detect"
    ):
        devices.require_transfer(plugin, source="run.h5")


LOSSY = {
    "alice": {"detector_efficiency": 0.6, "dark_count_probability": 0.01},
    "bob": {"detector_efficiency": 0.5},
}


def test_missing_rounds_are_what_the_engine_loses(tmp_path):
    run = run_config(engine={"name": "noise", "link": {"fidelity": 0.99}, "loss": LOSSY})
    generate(run, tmp_path / "run.h5")
    found = store.status(tmp_path / "run.h5")
    odds = devices.detection(run)
    sigma = (odds.missing * (1 - odds.missing) / found.alice_clicks) ** 0.5
    assert abs((1 - found.rows / found.alice_clicks) - odds.missing) < 5 * sigma  # false alarm 6e-7
    assert (odds.single, odds.missing_best) == (1, 0)
    transfer_job = prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(ROT))
    assert (transfer_job.source.alice_clicks, transfer_job.source.premises.detection) == (
        found.alice_clicks,
        odds,
    )
    keys = keys_of(transfer_job, tmp_path / "keys.h5")
    assert [m.decode() for m in keys.transcript["what"][:2]] == ["rounds detected", "commitment"]


def test_losses_that_the_link_does_not_explain_abort(tmp_path):
    engine = {"name": "noise", "link": {"fidelity": 0.99}, "loss": LOSSY}
    generate(run_config(engine=engine), tmp_path / "run.h5")
    found = prepare(tmp_path / "run.h5", caligo_mpi.parse_protocol(ROT))
    premises = Premises(replace(found.source.premises.detection, missing=0.49))
    source = replace(found.source, premises=premises)
    keys = keys_of(replace(found, source=source), tmp_path / "keys.h5")
    assert (
        keys.blocks["abort_reason"][0]
        == b"the number of rounds Bob missed is not what the link explains"
    )


def test_down_conversions_odds_are_those_of_its_photon_numbers():
    # Two independent modes, each with geometrically many pairs (Ma, Fung and Lo 2007).
    mu, (efficiency, dark), rounds = 0.5, (0.6, 0.01), 4_000_000
    run = run_config(engine={"name": "noise", "source": {"type": "pdc", "mu": mu}, "loss": LOSSY})
    odds = devices.detection(run)
    rng = np.random.default_rng(1)
    pairs = (rng.geometric(1 / (1 + mu / 2), (2, rounds)) - 1).sum(axis=0)
    clicked = rng.random(rounds) < 1 - (1 - dark) * (1 - efficiency) ** pairs
    heard = rng.random(rounds) < 1 - 0.5**pairs
    n = clicked.sum()
    for value, seen in (
        (odds.single, pairs == 1),
        (odds.missing_best, pairs == 0),
        (odds.missing, ~heard),
    ):
        share = (seen & clicked).sum() / n
        assert abs(share - value) < 5 * (value * (1 - value) / n) ** 0.5  # false alarm 6e-7 each
