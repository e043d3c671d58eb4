"""Configuration of the classical protocol: one frozen model per mode.  Beside config.py, imports pydantic."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from .errors import ConfigError

Seed = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Epsilon = Annotated[float, Field(ge=1e-24, le=1e-2, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bbm92Config(_Model):
    """Key distribution with entangled pairs."""

    mode: Literal["bbm92"]
    seed: Seed = Field(description="Seed of the protocol's own random decisions")
    block_size: Annotated[int, Field(ge=1000)] = Field(
        default=2_000_000, description="Pairs per block; every block has its own test set, tags and hash"
    )
    test: Literal["random", "Z", "X"] = Field(
        default="random",
        description="What bounds the phase error: a random subset of both bases (bases chosen evenly), "
        "or all bits of this basis, the key coming from the other one",
    )
    test_fraction: Fraction = Field(
        default=0.1, description="Share of the key basis' bits disclosed to estimate the error rate"
    )
    reconciliation: Literal["cascade", "cascade-low-leak", "ldpc", "ldpc-blind"] = "cascade-low-leak"
    frame_bits: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        default=20_000, description="Key bits per frame, about: a block's frames are equally long"
    )
    qber_limit: Annotated[float, Field(gt=0, le=0.11, allow_inf_nan=False)] = Field(
        default=0.11, description="A block that tests above this is aborted"
    )
    epsilon_sec: Epsilon = Field(default=1e-10, description="Secrecy of the whole key, shared out evenly to its blocks")
    epsilon_cor: Epsilon = Field(default=1e-15, description="Correctness of the whole key, shared out likewise")


class RotConfig(_Model):
    """Random oblivious transfer against an adversary whose quantum memory is noisy."""

    mode: Literal["rot"]
    seed: Seed = Field(description="Seed of the protocol's own random decisions")
    choice: Literal[0, 1] | None = Field(default=None, description="Bob's choice bit; drawn by him unless given")
    test_fraction: Fraction = Field(default=0.1, description="Share of the announced rounds that Bob opens")
    reconciliation: Literal["ldpc"] = "ldpc"
    failure_target: Fraction = Field(
        default=0.01, description="Bob's string may be wrong this often: a word that fails to decode fails the run"
    )
    qber_limit: Annotated[float, Field(gt=0, le=0.0417, allow_inf_nan=False)] = Field(
        default=0.0417, description="A run that tests above this is aborted; 4.17 % is the limit of a perfect code"
    )
    epsilon: Epsilon = Field(default=2.5e-7, description="Failure probability of each estimate and each step")
    storage_r: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        description="r of the adversary's memory, ρ → rρ + (1−r)I/2"
    )
    storage_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        description="ν: qubits the adversary can store, per announced round"
    )
    wait_ns: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=1e9, description="Δt between the last pair and the announcement of bases"
    )

    @field_validator("reconciliation", mode="before")
    @classmethod
    def _one_way(cls, value: Any) -> Any:
        if value != "ldpc":
            raise ValueError(
                "must be ldpc in mode rot: Cascade and blind LDPC ask Alice again about the set that Bob "
                "decodes, which would reveal his choice"
            )
        return value


ProtocolConfig = Annotated[Bbm92Config | RotConfig, Field(discriminator="mode")]

_ADAPTER: TypeAdapter[Bbm92Config | RotConfig] = TypeAdapter(ProtocolConfig)


def parse_protocol(values: dict[str, Any]) -> Bbm92Config | RotConfig:
    """Check a mapping, as YAML gives it.

    >>> parse_protocol({"mode": "bbm92", "seed": 7}).block_size
    2000000
    """
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "mode"
        raise ConfigError(f"{where}={first['input']!r}: {first['msg'].removeprefix('Value error, ')}") from None
