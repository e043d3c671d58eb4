"""From a bench to its cases: every combination, what each is called, and what keeps it from running."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import PluginConfig, RunConfig, engine_names, parse_config
from ..config.bench import BenchConfig
from ..config.protocol import parse_protocol
from ..engines import missing
from ..errors import CaligoError
from ..runs.devices import expected
from .session import digest

#: States of a run or a case; all but the first are problems.
OK, WRONG, FAILED, KILLED = "ok", "wrong", "failed", "killed"
TIMEOUT, MEMORY, MISSING, REFUSED = "timeout", "memory", "missing", "refused"
STATES = (OK, WRONG, FAILED, KILLED, TIMEOUT, MEMORY, MISSING, REFUSED)
#: After these nothing would be gained by running the case again at once.
FINAL = (FAILED, KILLED, TIMEOUT, MEMORY, MISSING, REFUSED)

#: What makes a case beside its engine, outermost first.
PARAMETERS = (
    *("pairs", "noise", "ranks", "weak"),
    *("chunk_size", "policy", "output", "protocol"),
)

#: Parameters that an engine's section may have for itself.
OF_ENGINES = ("pairs", "chunk_size")

_BUSY_LIMIT = 64


@dataclass(frozen=True)
class Case:
    """One engine with one set of parameters.

    ``values`` is all that decides what is run, but for the seed; ``parameters`` is what a person
    calls it by, without the engine.
    """

    engine: str
    values: dict[str, Any] = field(hash=False)
    parameters: dict[str, Any] = field(hash=False)

    @property
    def key(self) -> str:
        """The same for equal cases of any bench."""
        return digest(self.values)[:12]

    @property
    def id(self) -> str:
        """A name for files: the engine and the key."""
        name = self.values["run"]["engine"]["name"]
        word = re.sub(r"[^\w-]", "_", name)
        return f"{word[:40]}-{self.key}"

    @property
    def ranks(self) -> int:
        """Ranks that it is run on."""
        return int(self.values["ranks"])

    @property
    def pairs(self) -> int:
        """Emissions."""
        return int(self.values["run"]["pairs"])

    @property
    def point(self) -> str:
        """The same for cases that differ in their engine alone."""
        return json.dumps(self.parameters, sort_keys=True)

    def run_config(self, seed: int) -> RunConfig:
        """The run's configuration; raises `ConfigError` where the engine cannot do it."""
        return parse_config({**self.values["run"], "seed": seed})


def cases(bench: BenchConfig, cores: int) -> list[Case]:
    """Every combination, parameters outermost, so that engines are next to each other in time."""
    found: dict[str, Case] = {}
    grid = itertools.product(
        bench.pairs,
        bench.noise or (None,),
        _ranks(bench, cores),
        bench.weak,
        bench.chunk_size or (None,),
        bench.policy,
        bench.output,
        bench.protocol or (None,),
        bench.engines,
    )
    for *values, engine in grid:
        chosen = dict(zip(PARAMETERS, values, strict=True))
        section = dict(engine)
        for key in OF_ENGINES:
            if key in section:
                chosen[key] = section.pop(key)
        case = _case(bench, chosen, section)
        found.setdefault(case.key, case)
    return list(found.values())


def _case(bench: BenchConfig, chosen: Mapping[str, Any], engine: dict[str, Any]) -> Case:
    """The case of one combination."""
    pairs = chosen["pairs"]
    ranks = chosen["ranks"]
    is_weak = chosen["weak"]
    if is_weak:
        pairs *= ranks
    section = _engine(bench, engine, chosen["noise"])
    run: dict[str, Any] = {"pairs": pairs, "engine": section}
    if chosen["chunk_size"] is not None:
        run["chunk_size"] = chosen["chunk_size"]
    if chosen["policy"] != "dynamic":
        run["schedule"] = {"policy": chosen["policy"]}
    if chosen["output"]:
        run["output"] = chosen["output"]
    protocol = chosen["protocol"]
    values = {
        "work": bench.work,
        "run": run,
        "ranks": ranks,
        "protocol": protocol,
    }
    if is_weak:
        values["weak"] = True
    parameters = {
        **chosen,
        "output": words(chosen["output"]),
        "protocol": words(protocol),
    }
    return Case(words(engine), values, parameters)


def _ranks(bench: BenchConfig, cores: int) -> list[int]:
    """The numbers of ranks, without doubles; 0 stands for powers of two up to the cores."""
    found: list[int] = []
    for ranks in bench.ranks:
        if ranks:
            found.append(ranks)
        else:
            found += _powers(cores)
    return list(dict.fromkeys(found))


def _powers(cores: int) -> list[int]:
    powers = [1 << power for power in range(cores.bit_length())]
    return sorted({*powers, cores})


def _engine(bench: BenchConfig, engine: Mapping[str, Any], noise: float | None) -> dict[str, Any]:
    """The engine's section: what all are given, the noise, its own keys."""
    common = dict(bench.experiment)
    if noise is not None:
        common["link"] = {"prob_max_mixed": 2 * noise}
    return {**common, **engine}


_FIRST_WORDS = ("name", "mode", "keep")


def words(section: Mapping[str, Any] | None) -> str:
    """A section in a few words: its name or mode, then other keys.

    >>> words({"name": "plain", "batch": 16}), words({"keep": "records"}), words({})
    ('plain batch=16', 'records', '')
    """
    if not section:
        return ""
    found = [str(section[key]) for key in _FIRST_WORDS if key in section]
    unsaid = (*_FIRST_WORDS, "seed")
    for key, value in section.items():
        if key not in unsaid:
            word = value if isinstance(value, str) else json.dumps(value)
            found.append(f"{key}={word}")
    return " ".join(found)


def problem(case: Case) -> tuple[str, str] | None:
    """What keeps a case from being run here: its state and a sentence; None if nothing does."""
    name = case.values["run"]["engine"]["name"]
    known = engine_names()
    if name not in known:
        listed = ", ".join(known)
        return MISSING, f"engine {name!r} is not installed; there are {listed}"
    if reason := missing(name):
        return MISSING, reason
    protocol = case.values["protocol"]
    try:
        case.run_config(seed=0)
        if protocol:
            parse_protocol(protocol)
    except CaligoError as error:
        sentence = str(error)
        return REFUSED, sentence.removeprefix("configuration: ")
    cores = os.cpu_count()
    if case.ranks > _BUSY_LIMIT * (cores or 1):
        return REFUSED, f"ranks={case.ranks} are too many for {cores} cores"
    return None


@dataclass(frozen=True)
class ClosedForm:
    """What a run's error rates and sifting have to be, as probabilities."""

    qber_z: float
    qber_x: float
    sifted_z: float
    sifted_x: float


def closed_form(case: Case, told: Mapping[str, Any]) -> ClosedForm | None:
    """The law of the case's experiment, by our formulas; of an engine that has an experiment of its own, by its word.

    ``told`` is what the run said of itself.
    """
    config = case.run_config(seed=0)
    if isinstance(config.engine, PluginConfig):
        parameters = config.engine.parameters
        if not isinstance(parameters.get("link"), dict):
            return _by_its_word(told)
        shared = {key: value for key, value in parameters.items() if key in _SHARED}
        engine = {"name": "noise", **shared}
        config = parse_config({"pairs": 8, "seed": 0, "engine": engine})
    found = expected(config)
    if found is None or math.isnan(found.qber_z):
        return None
    return ClosedForm(
        found.qber_z,
        found.qber_x,
        found.sifted_z,
        found.sifted_x,
    )


_SHARED = ("link", "alice", "bob", "loss", "formalism")


def _by_its_word(told: Mapping[str, Any]) -> ClosedForm | None:
    qber_z = told.get("expected_qber_z")
    qber_x = told.get("expected_qber_x")
    if qber_z is None or qber_x is None:
        return None
    return ClosedForm(
        float(qber_z),
        float(qber_x),
        sifted_z=math.nan,
        sifted_x=math.nan,
    )


def varying(found: list[Case]) -> list[str]:
    """The parameters that differ between cases, in the order of `Case.parameters`."""
    if not found:
        return []
    names = []
    for name in found[0].parameters:
        values = {repr(one.parameters[name]) for one in found}
        if len(values) > 1:
            names.append(name)
    return names


def label(case: Case, names: list[str]) -> str:
    """The case for a line of progress or a table: its engine and what differs."""
    found = [case.engine]
    for name in names:
        value = shown(case.parameters[name])
        found.append(f"{name}={value}")
    return " ".join(found)


def shown(value: object) -> str:
    """A parameter for people.

    >>> shown(1_000_000), shown(1500), shown(None), shown(True)
    ('1e6', '1500', '-', 'yes')
    """
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value >= 1000:
        power = int(math.log10(value))
        digits, rest = divmod(value, 10**power)
        if not rest:
            return f"{digits}e{power}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def in_rounds(found: list[Case], rounds: int) -> Iterator[tuple[int, Case]]:
    """A B A B: every case once, then every case again."""
    for number in range(rounds):
        for case in found:
            yield number, case
