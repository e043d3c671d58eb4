"""Whether NetSquid can run here, and what to do where it cannot."""

from __future__ import annotations

import re
from importlib import metadata, util
from pathlib import Path

#: Lowest versions that squidasm 0.13.6 asks for.  The public index carries empty packages of some of these
#: names, all below these versions.
_LICENSED = {
    "netsquid": "1.1.8",
    "pydynaa": "0.3",
    "netsquid-magic": "16.0",
    "netsquid-netbuilder": "0.1",
}
_PLACEHOLDER = (0, 0, 1)

_REMEDY = (
    "to get it: (1) register at https://forum.netsquid.org/ucp.php?mode=register and accept the license; (2) in an "
    "environment of its own with Python 3.10 or 3.11: pip install -r requirements-netsquid.txt (the file says how to "
    "pass the account)"
)


def probe() -> str | None:
    """What is missing to run the engine ``netsquid`` here and how to get it; None if nothing is.

    Reads installed versions only and imports nothing heavy.
    """
    if is_stand_in():
        missing = (
            []
            if _stand_in_is_ours()
            else ["netsquid (found: a stand-in outside its source checkout)"]
        )
    else:
        missing = [problem for name, low in _LICENSED.items() if (problem := _licensed(name, low))]
    missing += [
        problem
        for problem in (
            _between("squidasm", low="0.13.6"),
            _between("netqasm", high="2.0"),
            _between("numpy", below="2"),
        )
        if problem
    ]
    return f"engine 'netsquid' needs {', '.join(missing)}; {_REMEDY}" if missing else None


def is_stand_in() -> bool:
    """Whether ``import netsquid`` gives the stand-in of this project's tests."""
    if _version("netsquid") or util.find_spec("netsquid") is None:
        return False
    import netsquid

    return bool(getattr(netsquid, "STAND_IN", False))


def _stand_in_is_ours() -> bool:
    """The stand-in lies in the checkout that this very package runs from.

    An installed package has none.
    """
    import netsquid

    checkout = Path(__file__).resolve().parents[3]
    return Path(netsquid.__file__).resolve().parents[1] == checkout / "tests" / "netsquid_standin"


def _licensed(name: str, low: str) -> str | None:
    version = _version(name)
    if version and _release(version) <= _PLACEHOLDER:
        return f"{name}>={low} (found {version}, an empty placeholder from the public index)"
    return _between(name, low=low)


def _between(
    name: str,
    *,
    low: str = "",
    high: str = "",
    below: str = "",
) -> str | None:
    """The requirement and what was found instead, or None if it is met."""
    wanted = name + (f">={low}" if low else f"<={high}" if high else f"<{below}")
    version = _version(name)
    if not version:
        return f"{wanted} (not installed)"
    release = _release(version)
    good = (
        release >= _release(low)
        if low
        else release <= _release(high)
        if high
        else release < _release(below)
    )
    return None if good else f"{wanted} (found {version})"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The first three release numbers.

    >>> _release("2.0") == _release("2.0.0"), _release("0.13.6.post1")
    (True, (0, 13, 6))
    """
    numbers = [int(part) for part in re.findall(r"\d+", version)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))
