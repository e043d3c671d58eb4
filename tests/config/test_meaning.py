"""What documents mean, pinned: no release of a dependency may change a run's identity."""

from __future__ import annotations

import pytest

from caligo_mpi import ConfigError, parse_config, parse_protocol
from caligo_mpi.config.strict_yaml import parse_yaml

NOISE = "pairs: 1e6\nseed: 7\nengine: {name: noise, link: {fidelity: 0.95}}\n"

#: YAML → how the digest of its run with stream version 1 begins; None for what is refused.
DIGESTS = {
    NOISE: "b3f1f33b180f8293",
    "pairs: '1e6'\nseed: 0x7\nengine: {name: noise, link: {fidelity: 0.95}}\n": None,
    NOISE + "chunk_size: 65_536\n": "43510a63a2b8fdfd",
    "pairs: 10\nseed: 123456789012345678901234567890\n"
    "engine: {name: noise, link: {pauli: [0.01, .02, 3e-2]}, alice: {basis_bias: 1e-1}}\n": "7ec19efb7c4bb23a",
    "pairs: 10\nseed: 1\nengine:\n  name: netsquid\n  link: {prob_max_mixed: .1, cycle_time_ns: 1000}\n"
    "  alice: &a {basis_bias: 0.3, readout_flip: 0.01}\n  bob: {<<: *a, basis_bias: 0.4}\n": "4cd52e0bd5e29747",
    "pairs: 10\nseed: 1\nengine: {name: noise, source: {type: pdc, mu: 0.053}, "
    "loss: {alice: {detector_efficiency: 0.145, dark_count_probability: 6.02e-6}, bob: {}}}\n": "402fcb6cec7f8581",
}


@pytest.mark.parametrize(("text", "digest"), DIGESTS.items(), ids=range(len(DIGESTS)))
def test_a_document_is_the_same_run_with_every_release(text: str, digest: str | None) -> None:
    values = parse_yaml(text, source="test")
    if digest is None:
        with pytest.raises(ConfigError):
            parse_config(values)
    else:
        assert parse_config(values).digest(1)[:16] == digest


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (
            "mode: bbm92\nseed: 7\n",
            "5fa9fe55fedd8494",
        ),
        (
            "mode: rot\nseed: 7\nstorage_r: 0.1\nstorage_rate: 1\nwait_ns: 1e6\n",
            "8a1b79c22666443e",
        ),
    ],
)
def test_a_protocol_is_the_same_with_every_release(text: str, digest: str) -> None:
    assert parse_protocol(parse_yaml(text, source="test")).digest()[:16] == digest


AUTO = {"name": "auto", "link": {"fidelity": 0.9, "cycle_time_ns": 1000}}


@pytest.mark.parametrize("value", ["yes", "on", "true", 1, 0, "t", "1", 1.0])
def test_only_true_and_false_are_truth_values(value: object) -> None:
    with pytest.raises(ConfigError, match="needs_time"):
        parse_config({"pairs": 10, "seed": 1, "engine": {**AUTO, "needs_time": value}})


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", True), ("pairs", 1.5), ("pairs", b"10"), ("seed", "1,000"), ("output", b"x"), ("output", 5),
     ("chunk_size", [8]), ("schedule", 1), ("pairs", "１０"), ("seed", "0x10"), ("pairs", " 1 0 ")],
)  # fmt: skip
def test_values_of_another_kind_are_refused(key: str, value: object) -> None:
    engine = {"name": "noise", "link": {"fidelity": 0.9}}
    with pytest.raises(ConfigError, match=key):
        parse_config({"pairs": 10, "seed": 1, "engine": engine, key: value})
