"""Key distribution: what it takes for granted, its ε's, its default test and its formulas."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ... import store
from ...config import RunConfig
from ...config.protocol import Bbm92Config
from ...protocol.key_length import binary_entropy, finite_key_length, hoeffding_margin
from ...protocol.run import plan_blocks
from ...protocol.types import IDEAL, Premises
from .. import devices
from .mode import Formula, Mode, Rates, Tested

#: The chance that bases which were chosen evenly look uneven, twice.
_EPSILON = 1e-10


class KeyDistribution(Mode[Bbm92Config]):
    """Mode ``bbm92``."""

    block_bytes = 80

    def premises(self, run: RunConfig) -> Premises:
        """The quality of Alice's measurements, and whether sifted rows are as likely in Z as in X."""
        engine = devices.known(run)
        if engine is None:
            return IDEAL
        alice = Decimal(str(engine.alice.basis_bias))
        bob = Decimal(str(engine.bob.basis_bias))
        return Premises(quality=devices.quality(run), even=alice + bob == 1)

    def assumptions(self, run: RunConfig) -> list[str]:
        """Sentences on the preparation quality, detection and the choice of bases."""
        if devices.known(run) is None:
            return devices.unknown_assumptions(run)
        return [
            "Alice's measurements have the preparation_quality that her read-out errors give",
            devices.DETECTS,
            "bases are chosen independently of everything outside",
            *devices.COMMON_ASSUMPTIONS,
        ]

    def security(self, config: Bbm92Config, premises: Premises, blocks: int) -> dict[str, object]:
        """ε of secrecy and of correctness, of the run and of each block."""
        return {
            "epsilon_sec": config.epsilon_sec,
            "epsilon_cor": config.epsilon_cor,
            "epsilon_total": config.epsilon_sec + config.epsilon_cor,
            "epsilon_sec_per_block": config.epsilon_sec / blocks,
            "epsilon_cor_per_block": config.epsilon_cor / blocks,
            "preparation_quality": premises.quality,
        }

    def tests(self, config: Bbm92Config, rates: Rates) -> list[Tested]:
        """A random subset of both bases; or some of the key basis' bits, and all of the other basis'."""
        if config.test == "random":
            disclosed = config.test_fraction * rates.sifted
            return [Tested(disclosed, rates.qber)]
        key = Tested(rates.sifted_z, rates.qber_z)
        told = Tested(rates.sifted_x, rates.qber_x)
        if config.test == "Z":
            key, told = told, key
        disclosed = config.test_fraction * key.share
        return [Tested(disclosed, key.rate), told]

    def abort_chance(self, config: Bbm92Config) -> float:
        """Counts of a random test may fluctuate by more than its bounds allow."""
        return 2 * config.epsilon_sec if config.test == "random" else 0.0

    def defaults(self, file: store.PairsFile) -> tuple[dict[str, Any], str]:
        """The test that the file's bases allow."""
        in_z = int(file.total("sifted_z"))
        in_x = int(file.total("sifted_x"))
        if self._are_even(file, in_z, in_x):
            why = "bases were chosen evenly, so a random subset of both bounds the errors"
            return {"test": "random"}, why
        rarer = "X" if in_x <= in_z else "Z"
        counts = f"{in_z:,} Z and {in_x:,} X sifted"
        why = f"bases were not chosen evenly: {counts}, so all {rarer} bits are the test"
        return {"test": rarer}, why

    def _are_even(self, file: store.PairsFile, in_z: int, in_x: int) -> bool:
        """Whether both bases are equally likely, by the configuration, and look it."""
        sifted = in_z + in_x
        run = RunConfig.from_json(file.info.config)
        if not sifted or not self.premises(run).even:
            return not sifted
        unevenness = abs(in_x / sifted - 0.5)
        return unevenness <= hoeffding_margin(sifted, _EPSILON)

    def chosen(self, config: Bbm92Config, given: Mapping[str, Any], why: str) -> str:
        """The test, and why it is this one."""
        if config.test != given["test"]:
            why = "as it was set"
        return f"bbm92 with test={config.test}, seed={config.seed}; {why}"

    def formula(
        self,
        config: Bbm92Config,
        run: RunConfig,
        counts: Mapping[str, Any],
        rates: Rates,
        efficiency: float,
    ) -> Formula:
        """What is left of the key basis, bounded by what the test shows."""
        quality = self.premises(run).quality
        share, bit, phase = _by_test(config.test, rates)
        told = efficiency * binary_entropy(bit)
        fraction = max(0.0, quality - binary_entropy(phase) - told)
        asymptotic = 0.0
        if rates.sifted:
            asymptotic = fraction * share / rates.sifted
        rows = counts["rows"]
        blocks = len(plan_blocks(rows, config))
        of_block = rows / blocks
        disclosed = config.test_fraction * share * of_block
        tested = disclosed
        if config.test != "random":
            tested = (rates.sifted - share) * of_block
        key_bits = int(share * of_block - disclosed)
        length = finite_key_length(
            key_bits=key_bits,
            test_bits=int(tested),
            qber=phase,
            leak_bits=told * key_bits,
            epsilon_sec=config.epsilon_sec / blocks,
            epsilon_cor=config.epsilon_cor / blocks,
            quality=quality,
        )
        return Formula(asymptotic, blocks * length)


def _by_test(test: str, rates: Rates) -> tuple[float, float, float]:
    """The key's share of the registered pairs, its bit error rate, and the phase error rate that the test shows."""
    if test == "X":
        return rates.sifted_z, rates.qber_z, rates.qber_x
    if test == "Z":
        return rates.sifted_x, rates.qber_x, rates.qber_z
    return rates.sifted, rates.qber, rates.qber


MODE = KeyDistribution()
