"""From a bench to its cases: every combination, what each is called, and what keeps it from running."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import PluginConfig, RunConfig, engine_names, parse_config
from ..config.bench import BenchConfig
from ..config.protocol import parse_protocol
from ..engines import missing
from ..errors import CaligoError
from ..runs.devices import expected

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
        text = json.dumps(self.values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def id(self) -> str:
        """A name for files: the engine and the key."""
        name = self.values["run"]["engine"]["name"]
        word = "".join(one if one.isalnum() or one in "-_" else "_" for one in name)
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
        own = {key: engine[key] for key in OF_ENGINES if key in engine}
        chosen = {**dict(zip(PARAMETERS, values, strict=True)), **own}
        section = {key: value for key, value in engine.items() if key not in own}
        case = _case(bench, chosen, section)
        found.setdefault(case.key, case)
    return list(found.values())


def _case(bench: BenchConfig, chosen: Mapping[str, Any], engine: dict[str, Any]) -> Case:
    """The case of one combination."""
    pairs, ranks, is_weak = chosen["pairs"], chosen["ranks"], chosen["weak"]
    section = _engine(bench, engine, chosen["noise"])
    run: dict[str, Any] = {"pairs": pairs * ranks if is_weak else pairs, "engine": section}
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
    told = {"output": words(chosen["output"]), "protocol": words(protocol)}
    return Case(words(engine), values, {**chosen, **told})


def _ranks(bench: BenchConfig, cores: int) -> list[int]:
    """The numbers of ranks, without doubles; 0 stands for powers of two up to the cores."""
    found: list[int] = []
    for ranks in bench.ranks:
        found += [ranks] if ranks else _powers(cores)
    return list(dict.fromkeys(found))


def _powers(cores: int) -> list[int]:
    powers = [1 << power for power in range(cores.bit_length()) if 1 << power <= cores]
    return sorted({*powers, cores})


def _engine(bench: BenchConfig, engine: Mapping[str, Any], noise: float | None) -> dict[str, Any]:
    """The engine's section: what all are given, the noise, its own keys."""
    common = dict(bench.experiment)
    if noise is not None:
        common["link"] = {"prob_max_mixed": 2 * noise}
    return {**common, **engine}


def words(section: Mapping[str, Any] | None) -> str:
    """A section in a few words: its name or mode, then other keys.

    >>> words({"name": "plain", "batch": 16}), words({"keep": "records"}), words({})
    ('plain batch=16', 'records', '')
    """
    if not section:
        return ""
    first = [str(section[key]) for key in ("name", "mode", "keep") if key in section]
    rest = {
        key: value for key, value in section.items() if key not in ("name", "mode", "keep", "seed")
    }
    return " ".join([*first, *(f"{key}={_short(value)}" for key, value in rest.items())])


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def problem(case: Case) -> tuple[str, str] | None:
    """What keeps a case from being run here: its state and a sentence; None if nothing does."""
    name = case.values["run"]["engine"]["name"]
    known = engine_names()
    if name not in known:
        return MISSING, f"engine {name!r} is not installed; there are {', '.join(known)}"
    if reason := missing(name):
        return MISSING, reason
    try:
        case.run_config(seed=0)
        if case.values["protocol"]:
            parse_protocol(case.values["protocol"])
    except CaligoError as error:
        return REFUSED, str(error).removeprefix("configuration: ")
    if case.ranks > _BUSY_LIMIT * (os.cpu_count() or 1):
        return REFUSED, f"ranks={case.ranks} are too many for {os.cpu_count()} cores"
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
        link = config.engine.parameters.get("link")
        own = {key: value for key, value in config.engine.parameters.items() if key in _SHARED}
        if not isinstance(link, dict):
            return _by_its_word(told)
        config = parse_config(
            {
                "pairs": 8,
                "seed": 0,
                "engine": {"name": "noise", **own},
            }
        )
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
    rates = [told.get("expected_qber_z"), told.get("expected_qber_x")]
    if any(rate is None for rate in rates):
        return None
    return ClosedForm(
        float(rates[0] or 0),
        float(rates[1] or 0),
        math.nan,
        math.nan,
    )


def varying(found: list[Case]) -> list[str]:
    """The parameters that differ between cases, in the order of `Case.parameters`."""
    names = found[0].parameters if found else {}
    return [name for name in names if len({repr(one.parameters[name]) for one in found}) > 1]


def label(case: Case, names: list[str]) -> str:
    """The case for a line of progress or a table: its engine and what differs."""
    return " ".join([case.engine, *(f"{name}={shown(case.parameters[name])}" for name in names)])


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
        if value % 10**power == 0:
            return f"{value // 10**power}e{power}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def in_rounds(found: list[Case], rounds: int) -> Iterator[tuple[int, Case]]:
    """A B A B: every case once, then every case again."""
    for number in range(rounds):
        for case in found:
            yield number, case
