"""The configurations that ``init`` writes: the one with every key, and the examples of ``configs/``."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "config"
_EXAMPLES = _FOLDER / "starters"
#: An example that configures a protocol has the name of its mode; the pairs for that mode take precedence.
_ALIASES = {"rot": "rot-pairs", "rot-protocol": "rot", "sweep": "sweep-fidelity"}


def names() -> list[str]:
    """What ``--like`` takes."""
    examples = {path.stem for path in _EXAMPLES.glob("*.yaml")} - {"rot", "rot-pairs"}
    return sorted(examples | set(_ALIASES))


def text(name: str | None) -> str:
    """The example of that name, or the configuration with every key."""
    if name is None:
        return (_FOLDER / "starter.yaml").read_text("utf-8")
    whole = (_EXAMPLES / f"{_ALIASES.get(name, name)}.yaml").read_text("utf-8")
    # Editors would not find the schema from elsewhere.
    return "".join(
        line for line in whole.splitlines(keepends=True) if "yaml-language-server" not in line
    )


def next_command(text: str, path: str) -> str:
    """What to run with a configuration: its kind shows in its keys."""
    keys = {line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    if "mode" in keys:
        return f"caligo-mpi distill RUN.h5 --config {path}"
    if "axes" in keys or "points" in keys:
        return f"caligo-mpi sweep {path} --ranks 2"
    if "sequential" in keys:
        return f"caligo-mpi sequential {path}"
    return f"caligo-mpi generate {path} --ranks 2"
