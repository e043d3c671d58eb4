"""A plug-in engine for tests: the noise engine, made slow or made to fail where a test wants it.

It is found through the entry point of the distribution beside it, as any third-party engine would be.
"""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from caligo_mpi import ColumnSpec
from caligo_mpi.config import parse_config
from caligo_mpi.engines import make_engine


class Trouble:
    """``seconds`` per chunk (``slow_rank`` takes ``slowness`` times as long), an exception in chunk ``fail_at``.

    Its process dies in chunk ``die_at``; with ``efficiency`` below 1 pairs are lost; ``leak`` bytes per chunk are.
    With ``declares`` it has columns of its own.
    """

    name = "trouble"

    def __init__(self, config, thresholds=None):
        params = {
            "seconds": 0.0,
            "fail_at": -1,
            "fail_rank": -1,
            "slow_rank": -1,
            "slowness": 3.0,
            "die_at": -1,
        }
        # "seconds_file" holds the seconds, "fails_without" names a file: what a test changes between runs.
        params |= {"efficiency": None, "leak": 0, "declares": False}
        params |= {"seconds_file": None, "fails_without": None}
        params |= config.parameters
        self.__dict__.update(params)
        self.leaked = []
        # Not a parameter, since those are part of the run's identity.
        self.seconds = float(os.environ.get("CALIGO_TEST_SECONDS", self.seconds))
        if self.seconds_file:
            self.seconds = float(Path(self.seconds_file).read_text())
        engine = {"name": "noise", "link": params.get("link", {"fidelity": 0.9})}
        if self.efficiency is not None:
            engine["loss"] = {"alice": {"detector_efficiency": self.efficiency}}
        self.noise = make_engine(
            parse_config({"pairs": 8, "seed": 0, "engine": engine}).engine, thresholds
        )
        for attribute in ("stream_version", "has_index", "has_time", "thresholds", "expected"):
            setattr(self, attribute, getattr(self.noise, attribute))

        self.columns = DECLARED if self.declares else ()

    def sample(self, count, seed, *, tick=None):
        rank = int(os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", "0")))
        end = time.perf_counter() + self.seconds * (self.slowness if rank == self.slow_rank else 1)
        while time.perf_counter() < end:
            time.sleep(1e-3)
            if tick:
                tick()
        self.leaked.append(b"x" * self.leak)
        if seed.spawn_key[-1] == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if seed.spawn_key[-1] == self.fail_at or rank == self.fail_rank:
            raise RuntimeError(f"boom in chunk {seed.spawn_key[-1]}")
        if self.fails_without and not Path(self.fails_without).exists():
            raise RuntimeError(f"there is no {self.fails_without}")
        pairs = self.noise.sample(count, seed, tick=tick)
        if not self.declares:
            return pairs
        number = np.arange(pairs.count) if pairs.index is None else pairs.index
        extra = {
            "late": number % 7 == 3,
            "herald": (number % 2).astype(np.uint8),
            "phase": np.sqrt(number).astype(np.float32),
        }
        return replace(pairs, extra=extra)


DECLARED = (
    ColumnSpec("late", "bit", description="detected in the second time bin"),
    ColumnSpec("herald", "u1", description="heralded state", flags={0: "psi+", 1: "psi-"}),
    ColumnSpec("phase", "f4", "rad", "phase of the interferometer"),
)


class Whole(Trouble):
    """The noise engine, whose longer samples do not begin with its shorter ones."""

    name = "whole"
    prefix = False

    def sample(self, count, seed, *, tick=None):
        other = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, count))
        return super().sample(count, other, tick=tick)


class Wrong(Trouble):
    """Fast and wrong: Bob's bits are random."""

    name = "wrong"

    def sample(self, count, seed, *, tick=None):
        pairs = super().sample(count, seed, tick=tick)
        columns = pairs.columns.copy()
        columns[3] = np.random.default_rng(seed).integers(0, 256, columns.shape[1], np.uint8)
        if count % 8:
            columns[3, -1] &= (1 << count % 8) - 1
        return replace(pairs, columns=columns)
