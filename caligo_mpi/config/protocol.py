"""Configuration of the classical protocol: one frozen model per mode.

Read as strictly as the configuration of a run: every wrong value, unknown or double key is
reported, all of them in one `ConfigError`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from ..errors import ConfigError
from .complaints import Key, complain
from .json_schema import tidy
from .reading import overridden, overridden_paths, read_yaml
from .sections import Range, Section, about, keys_of

Seed = Annotated[int, Range(0)]
Fraction = Annotated[float, Range(0, 1, open_low=True, open_high=True)]
Epsilon = Annotated[float, Range(1e-24, 1e-2)]

_LONG_FRAME = 131_072
_REMEDY = "configs/bbm92.yaml and configs/rot.yaml are examples"


class _Model(Section):
    """What the configurations of all modes share."""

    def rows_per_block(self) -> int | None:
        """Pairs per block, about; None where all pairs of a run are one block."""
        return None

    def takes_long_codes(self) -> bool:
        """Whether long LDPC codes are used where a block has the pairs for them."""
        return False

    def pools_tests(self) -> bool:
        """Whether long codes are then chosen by the tests of all blocks."""
        return False

    def resolved(self) -> dict[str, Any]:
        """Everything with its defaults filled in, as JSON values; `parse_protocol` reads it back."""
        return self.model_dump(mode="json", exclude_none=True)

    def digest(self) -> str:
        """SHA-256 over all that is not at its default: an optional key added later leaves older digests alone."""
        identity = self.model_dump(mode="json", exclude_defaults=True)
        return hashlib.sha256(
            json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()
        ).hexdigest()


class Bbm92Config(_Model):
    """Key distribution with entangled pairs."""

    mode: Annotated[Literal["bbm92"], about("key distribution with entangled pairs")]
    seed: Annotated[Seed, about("seed of the protocol's own random decisions")]
    block_size: Annotated[
        int,
        Range(1000, 10**12),
        about("pairs per block; every block has its own test set, tags and hash"),
    ] = 2_000_000
    test: Annotated[
        Literal["random", "Z", "X"],
        about(
            "what bounds the phase error: a random subset of both bases (bases chosen evenly), "
            "or all bits of this basis, the key coming from the other one"
        ),
    ] = "random"
    test_fraction: Annotated[
        Fraction, about("share of the key basis' bits disclosed to estimate the error rate")
    ] = 0.1
    reconciliation: Annotated[
        Literal["cascade", "cascade-low-leak", "ldpc", "ldpc-blind"],
        about("how Bob's bits are corrected"),
    ] = "cascade-low-leak"
    frame_bits: Annotated[
        int,
        Range(100, 1_000_000),
        about("key bits per frame, about: a block's frames are equally long"),
    ] = 20_000
    qber_limit: Annotated[
        float, Range(0, 0.11, open_low=True), about("a block that tests above this is aborted")
    ] = 0.11
    epsilon_sec: Annotated[
        Epsilon, about("secrecy of the whole key, shared out evenly to its blocks")
    ] = 1e-10
    epsilon_cor: Annotated[Epsilon, about("correctness of the whole key, shared out likewise")] = (
        1e-15
    )

    def rows_per_block(self) -> int:
        """Pairs per block, about."""
        return self.block_size

    def takes_long_codes(self) -> bool:
        """With LDPC, unless frames of a length of their own are asked for that is too short for them."""
        default = type(self).model_fields["frame_bits"].default
        fits = self.frame_bits == default or self.frame_bits >= _LONG_FRAME
        return self.reconciliation.startswith("ldpc") and fits

    def pools_tests(self) -> bool:
        """One way only: blind reconciliation tells more where a code turns out to tell too little."""
        return self.reconciliation == "ldpc"


def _one_way(value: object) -> object:
    if value != "ldpc":
        raise PydanticCustomError(
            "rule",
            "must be ldpc in mode rot: Cascade and blind LDPC ask Alice again about the set that Bob decodes, which "
            "would reveal his choice",
        )
    return value


class RotConfig(_Model):
    """Random oblivious transfer against an adversary whose quantum memory is noisy."""

    mode: Annotated[Literal["rot"], about("random oblivious transfer in the noisy-storage model")]
    seed: Annotated[Seed, about("seed of the protocol's own random decisions")]
    choice: Annotated[
        Annotated[int, Range(0, 1)] | None,
        about("Bob's choice bit; drawn by him unless given", symbol="c"),
    ] = None
    test_fraction: Annotated[Fraction, about("share of the announced rounds that Bob opens")] = 0.1
    reconciliation: Annotated[
        Annotated[Literal["ldpc"], BeforeValidator(_one_way)],
        about(
            "how Bob's bits are corrected: one-way only, since methods that ask back would reveal his choice"
        ),
    ] = "ldpc"
    failure_target: Annotated[
        Fraction,
        about("Bob's string may be wrong this often: a word that fails to decode fails the run"),
    ] = 0.01
    qber_limit: Annotated[
        float,
        Range(0, 0.0417, open_low=True),
        about("a run that tests above this is aborted; 4.17 % is the limit of a perfect code"),
    ] = 0.0417
    epsilon: Annotated[Epsilon, about("failure probability of each estimate and each step")] = (
        2.5e-7
    )
    storage_r: Annotated[
        float, Range(0, 1), about("r of the adversary's memory, ρ → rρ + (1−r)I/2")
    ]
    storage_rate: Annotated[
        float,
        Range(0, 1, open_low=True),
        about("ν: qubits the adversary can store, per announced round"),
    ]
    wait_ns: Annotated[
        float,
        Range(0, open_low=True),
        about("Δt between the last pair and the announcement of bases", unit="ns", symbol="Δt"),
    ] = 1e9

    def takes_long_codes(self) -> bool:
        """Always."""
        return True


#: A section for each of `caligo_mpi.config.modes.MODES`.
ProtocolConfig = Bbm92Config | RotConfig


def _mode_of(section: type[_Model]) -> str:
    """The mode that a section configures, by the only value its key ``mode`` takes."""
    (name,) = get_args(section.model_fields["mode"].annotation)
    return str(name)


_SECTIONS: dict[str, type[ProtocolConfig]] = {
    _mode_of(section): section for section in get_args(ProtocolConfig)
}


def load_protocol(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ProtocolConfig:
    """The protocol configuration in a YAML file, after ``overrides`` like ``"seed=7"``.

    Raises one `ConfigError` with everything that is wrong, a line each.
    """
    return _parse(read_yaml(path, remedy=_REMEDY), overrides, source=os.fspath(path))


def parse_protocol(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> ProtocolConfig:
    """The protocol configuration in a mapping, as `load_protocol` reads it from a file.

    >>> parse_protocol({"mode": "bbm92", "seed": 7}).block_size
    2000000
    """
    return _parse(values, overrides, source="protocol configuration")


def protocol_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a protocol configuration file."""
    modes: TypeAdapter[ProtocolConfig] = TypeAdapter(
        Annotated[ProtocolConfig, Field(discriminator="mode")]
    )
    body = tidy(modes.json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the classical protocol",
        **body,
    }


def _parse(data: object, overrides: Sequence[str], *, source: str) -> ProtocolConfig:
    if data is None:
        raise ConfigError(f"{source}: is empty; {_REMEDY}")
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{source}: must be a mapping of keys to values, not {type(data).__name__}"
        )
    for override in overrides:
        data = overridden(data, override, example="qber_limit=0.05")
    mode = data.get("mode")
    model = _SECTIONS.get(mode) if isinstance(mode, str) else None
    try:
        if model is not None:
            return model.model_validate(dict(data))
        either = " or ".join(_SECTIONS)
        kind, sentence = (
            ("none", f"missing; give {either}") if mode is None else ("choice", f"must be {either}")
        )
        errors: list[Any] = [{"type": kind, "loc": ("mode",), "input": mode, "msg": sentence}]
    except ValidationError as invalid:
        errors = list(invalid.errors(include_url=False))
    paths = overridden_paths(overrides)
    raise ConfigError(
        complain(errors, given=data, keys=_keys(), source=source, overrides=paths, answers={})
    )


@cache
def _keys() -> tuple[Key, ...]:
    """Every key of any mode, with its meaning."""
    return protocol_keys()


def protocol_keys(prefix: str = "") -> tuple[Key, ...]:
    """Every key of any mode, each behind ``prefix``."""
    found: list[Key] = []
    for mode, section in _SECTIONS.items():
        found += keys_of(section, prefix, needs=(("mode", (mode,)),))
    return tuple(found)
