"""Stand-in for netsquid_netbuilder.modules.qlinks, for tests only: configurations and what they deliver."""

from __future__ import annotations

import netsquid as ns
import numpy as np
from netsquid_magic.link_layer import BELL_STATES, BellIndex, LinkModel

from netsquid_netbuilder.yaml_loadable import YamlLoadable


def _cycle(time: float | None, length: float | None, speed_of_light: float) -> float:
    if (time is None) == (length is None):
        raise ValueError("exactly one of a time and a length")
    return time if time is not None else length / speed_of_light * 1e9


class PerfectQLinkConfig(YamlLoadable):
    state_delay: float | None = None
    length: float | None = None
    speed_of_light: float = 200_000

    def model(self) -> LinkModel:
        cycle = _cycle(self.state_delay, self.length, self.speed_of_light)
        return LinkModel(cycle, 1.0, lambda: (BellIndex.PHI_PLUS, BELL_STATES[BellIndex.PHI_PLUS]))


class DepolariseQLinkConfig(YamlLoadable):
    fidelity: float
    prob_success: float
    t_cycle: float | None = None
    length: float | None = None
    speed_of_light: float = 200_000
    random_bell_state: bool = False

    def model(self) -> LinkModel:
        mixed = (1 - self.fidelity) * 4 / 3

        def deliver():
            label = (
                BellIndex(int(ns.get_random_state().randint(4)))
                if self.random_bell_state
                else BellIndex.PHI_PLUS
            )
            return label, (1 - mixed) * BELL_STATES[label] + mixed * np.eye(4) / 4

        return LinkModel(
            _cycle(self.t_cycle, self.length, self.speed_of_light), self.prob_success, deliver
        )


class HeraldedDoubleClickQLinkConfig(YamlLoadable):
    """Middle station, perfect emission, no dark counts: Ψ⁺ or Ψ⁻, dephased by the photons' distinguishability."""

    length: float
    p_loss_init: float = 0.0
    p_loss_length: float = 0.25
    speed_of_light: float = 200_000
    dark_count_probability: float = 0.0
    detector_efficiency: float = 1.0
    visibility: float = 1.0

    def model(self) -> LinkModel:
        if self.dark_count_probability:
            raise NotImplementedError("the stand-in's heralded link has no dark counts")
        arm = (
            (1 - self.p_loss_init)
            * 10 ** (-self.p_loss_length * self.length / 20)
            * self.detector_efficiency
        )
        flips = {BellIndex.PSI_PLUS: BellIndex.PSI_MINUS, BellIndex.PSI_MINUS: BellIndex.PSI_PLUS}

        def deliver():
            label = (BellIndex.PSI_PLUS, BellIndex.PSI_MINUS)[int(ns.get_random_state().randint(2))]
            wrong = (1 - self.visibility) / 2
            return label, (1 - wrong) * BELL_STATES[label] + wrong * BELL_STATES[flips[label]]

        return LinkModel(_cycle(None, self.length, self.speed_of_light), arm**2 / 2, deliver)
