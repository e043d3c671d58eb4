"""Configuration: YAML in, frozen models out.  The only module that imports pydantic and yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
FlipProbability = Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LinkConfig(_Model):
    """State of the delivered pair; exactly one of the three is given.  Target state: Φ⁺."""

    fidelity: Annotated[float, Field(ge=0.25, le=1, allow_inf_nan=False)] | None = None
    prob_max_mixed: Probability | None = None
    pauli: tuple[Probability, Probability, Probability] | None = None


class SideConfig(_Model):
    """One party's device in the noise engine."""

    basis_bias: Probability = Field(default=0.5, description="Probability of measuring in X")
    readout_flip: FlipProbability | None = None
    p_read1_given0: Probability | None = None
    p_read0_given1: Probability | None = None
    storage_time_ns: NonNegative = 0.0
    T1_ns: NonNegative = 0.0  # 0 = off
    T2_ns: NonNegative = 0.0  # 0 = off
    gate_depolarizing: Probability = 0.0


class ArmConfig(_Model):
    """Loss and dark counts between the source and one party's recorded click."""

    length_km: NonNegative = 0.0
    attenuation_db_per_km: NonNegative = 0.2
    coupling: Probability = 1.0
    detector_efficiency: Probability = 1.0
    dark_count_rate_hz: NonNegative | None = None
    dark_count_probability: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    gate_width_ns: Positive | None = None


class LossConfig(_Model):
    """Both arms; an arm that is left out is lossless."""

    alice: ArmConfig = ArmConfig()
    bob: ArmConfig = ArmConfig()


class SinglePairSource(_Model):
    """Exactly one pair per emission."""

    type: Literal["single_pair"] = "single_pair"


class PdcSource(_Model):
    """Down-conversion source (Ma, Fung and Lo 2007)."""

    type: Literal["pdc"]
    mu: Positive  # mean pairs per pulse = 2 lambda
    misalignment: FlipProbability = 0.0  # e_d


class NoiseConfig(_Model):
    """The numpy noise engine."""

    name: Literal["noise"]
    source: Annotated[SinglePairSource | PdcSource, Field(discriminator="type")] = SinglePairSource()
    link: LinkConfig | None = None
    alice: SideConfig = SideConfig()
    bob: SideConfig = SideConfig()
    loss: LossConfig | None = None
    formalism: Literal["dm", "ket"] = "dm"


class NetsquidLinkConfig(_Model):
    """The SquidASM link between Alice and Bob."""

    type: Literal["perfect", "depolarise"] = "depolarise"
    fidelity: Annotated[float, Field(ge=0.25, le=1, allow_inf_nan=False)] | None = None
    prob_max_mixed: Probability | None = None
    prob_success: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    cycle_time_ns: Positive | None = None
    length_km: Positive | None = None


class HeraldedLinkConfig(_Model):
    """NetSquid's heralded links: photons from both sides meet midway."""

    type: Literal["heralded-single-click", "heralded-double-click"]
    length_km: Positive
    p_loss_init: Probability = 0.0
    attenuation_db_per_km: NonNegative = 0.2
    dark_count_probability: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    detector_efficiency: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    visibility: Probability = 1.0


class NetsquidDeviceConfig(_Model):
    """SquidASM's generic quantum device; the same one for Alice and Bob."""

    T1_ns: NonNegative = 0.0
    T2_ns: NonNegative = 0.0
    init_time_ns: NonNegative = 0.0
    single_qubit_gate_time_ns: NonNegative = 0.0
    two_qubit_gate_time_ns: NonNegative = 0.0
    measure_time_ns: NonNegative = 0.0
    gate_depolarizing: Probability = 0.0


class NetsquidSideConfig(_Model):
    """What one party adds around the simulator."""

    basis_bias: Probability = 0.5
    readout_flip: FlipProbability | None = None
    p_read1_given0: Probability | None = None
    p_read0_given1: Probability | None = None


class NetsquidConfig(_Model):
    """The SquidASM/NetSquid engine."""

    name: Literal["netsquid"]
    link: NetsquidLinkConfig | HeraldedLinkConfig
    device: NetsquidDeviceConfig = NetsquidDeviceConfig()
    alice: NetsquidSideConfig = NetsquidSideConfig()
    bob: NetsquidSideConfig = NetsquidSideConfig()
    formalism: Literal["dm", "ket"] = "dm"
    hold: Annotated[int, Field(ge=1)] | None = None


class SequentialConfig(_Model):
    """The protocol that Alice and Bob run inside the NetSquid simulation, after their pairs."""

    delta_t_ns: NonNegative = 1e6  # bases stay secret for this long after the last pair
    test_fraction: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.1  # of the rows with equal bases
    qber_limit: Annotated[float, Field(ge=0, le=0.11, allow_inf_nan=False)] = 0.11  # above it the run is aborted
    classical_latency_ns: NonNegative = 0.0  # one way


class ScheduleConfig(_Model):
    """How chunks go to ranks; never changes a bit of the result."""

    policy: Literal["static", "dynamic", "guided", "adaptive"] = "dynamic"
    rank0_computes: Literal["auto", "yes", "no"] = "auto"


class OutputConfig(_Model):
    """Where the pairs file goes and how hard it is pressed to disk."""

    path: str | None = None
    durability: Literal["flush", "fsync"] = "flush"


class RunConfig(_Model):
    """One run: one configuration, one pairs file."""

    pairs: Annotated[int, Field(ge=1, le=10**15)]
    seed: Annotated[int, Field(ge=0)]
    chunk_size: int | None = None
    engine: NoiseConfig | NetsquidConfig
    schedule: ScheduleConfig = ScheduleConfig()
    output: OutputConfig = OutputConfig()
