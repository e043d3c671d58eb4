"""The configurations that ``init`` writes: the one with every key, and the examples of ``configs/``."""

from __future__ import annotations

import os  # pathlib costs as much as the rest of a start

_PACKAGE = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
_EXAMPLES = f"{_PACKAGE}/config/starters"
#: Names of kinds.  An example that configures a protocol has the name of its mode: the pairs for that come first.
_KINDS = {
    "rot": f"{_EXAMPLES}/rot-pairs.yaml",
    "rot-protocol": f"{_EXAMPLES}/rot.yaml",
    "sweep": f"{_EXAMPLES}/sweep-fidelity.yaml",
    "bench": f"{_PACKAGE}/bench/presets/size-sweep.yaml",
}


def names() -> list[str]:
    """The names that ``--like`` takes."""
    return sorted(_files())


def text(name: str | None) -> str:
    """The example of that name, or the configuration with every key."""
    from pathlib import Path

    if name is None:
        return Path(_PACKAGE, "config/starter.yaml").read_text("utf-8")
    whole = Path(_files()[name]).read_text("utf-8")
    kept = []
    for line in whole.splitlines(keepends=True):
        if "yaml-language-server" not in line:  # editors would not find the schema from elsewhere
            kept.append(line)
    return "".join(kept)


def _files() -> dict[str, str]:
    """The examples by name."""
    found = {}
    for file in os.listdir(_EXAMPLES):  # noqa: PTH208
        path = f"{_EXAMPLES}/{file}"
        if file.endswith(".yaml") and path not in _KINDS.values():
            found[file.removesuffix(".yaml")] = path
    for name, path in _KINDS.items():
        if os.path.exists(path):  # noqa: PTH110
            found[name] = path
    return found


def next_command(text: str, path: str) -> str:
    """What to run with a configuration: its kind shows in its keys."""
    keys = set()
    for line in text.splitlines():
        if line[:1].isalpha():
            keys.add(line.partition(":")[0])
    if "mode" in keys:
        return f"caligo-mpi distill RUN.h5 --config {path}"
    if "axes" in keys or "points" in keys:
        return f"caligo-mpi sweep {path} --ranks 2"
    if "engines" in keys:
        return f"caligo-mpi bench {path} --plan"
    if "sequential" in keys:
        return f"caligo-mpi sequential {path}"
    return f"caligo-mpi generate {path} --ranks 2"
