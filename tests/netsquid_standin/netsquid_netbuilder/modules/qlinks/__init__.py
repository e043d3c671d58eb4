"""Stand-in for netsquid_netbuilder.modules.qlinks, for tests only: configurations and what they deliver."""

from __future__ import annotations

import dataclasses

import netsquid as ns
import numpy as np
from netsquid.qubits.qubit import Matrix
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


class _Heralded(YamlLoadable):
    """Photons meet at a beam splitter halfway, with two threshold detectors; emission is perfect."""

    length: float
    p_loss_init: float = 0.0
    p_loss_length: float = 0.25
    speed_of_light: float = 200_000
    dark_count_probability: float = 0.0
    detector_efficiency: float = 1.0
    visibility: float = 1.0

    @property
    def arm(self) -> float:
        """That a photon is detected which was sent."""
        return (
            (1 - self.p_loss_init)
            * 10 ** (-self.p_loss_length * self.length / 20)
            * self.detector_efficiency
        )

    @property
    def only_dark(self) -> float:
        """That one detector clicks where no photon arrives."""
        return 2 * self.dark_count_probability * (1 - self.dark_count_probability)

    def link(self, cases: list[tuple[float, float, Matrix]]) -> LinkModel:
        """``cases``: probability of a success, how much of it has the right phase, state of the rest."""
        chances = np.array([chance for chance, _, _ in cases])
        total = float(chances.sum())
        flips = {BellIndex.PSI_PLUS: BellIndex.PSI_MINUS, BellIndex.PSI_MINUS: BellIndex.PSI_PLUS}

        def deliver():
            label = (BellIndex.PSI_PLUS, BellIndex.PSI_MINUS)[int(ns.get_random_state().randint(2))]
            own = BELL_STATES[label] - BELL_STATES[flips[label]]
            rho = sum(chance * (rest + coherence / 2 * own) for chance, coherence, rest in cases)
            return label, rho / total

        return LinkModel(_cycle(None, self.length, self.speed_of_light), total, deliver)


_ODD = np.diag([0, 0.5, 0.5, 0]).astype(complex)
_EVEN = np.diag([0.5, 0, 0, 0.5]).astype(complex)


class HeraldedSingleClickQLinkConfig(_Heralded):
    """One click: bright with a probability of 1 − (fidelity asked for), dark else."""

    def model(self) -> LinkModel:
        return dataclasses.replace(self.asked(0.5), asked=self.asked)

    def asked(self, minimum_fidelity: float) -> LinkModel:
        bright, eta, dark = 1 - minimum_fidelity, self.arm, self.dark_count_probability
        two = 2 * eta * (1 - eta) + eta**2 * (1 + self.visibility) / 2
        return self.link(
            [
                ((1 - bright) ** 2 * self.only_dark, 0.0, np.diag([1, 0, 0, 0]).astype(complex)),
                (2 * bright * (1 - bright) * eta * (1 - dark), self.visibility**0.5, _ODD),
                (2 * bright * (1 - bright) * (1 - eta) * self.only_dark, 0.0, _ODD),
                (
                    bright**2 * (two * (1 - dark) + (1 - eta) ** 2 * self.only_dark),
                    0.0,
                    np.diag([0, 0, 0, 1]).astype(complex),
                ),
            ]
        )


class HeraldedDoubleClickQLinkConfig(_Heralded):
    """One click in each of two halves: Ψ⁺ or Ψ⁻, dephased by the photons' distinguishability."""

    def model(self) -> LinkModel:
        eta, click = self.arm, 1 - self.dark_count_probability
        bunched = eta**2 / 2 * (1 + self.visibility) / 2
        noise = 2 * eta * (1 - eta) * click * self.only_dark + (1 - eta) ** 2 * self.only_dark**2
        return self.link(
            [
                (eta**2 / 2 * click**2, self.visibility, _ODD),
                (bunched * click * self.only_dark, 0.0, _EVEN),
                (noise, 0.0, np.eye(4) / 4),
            ]
        )
