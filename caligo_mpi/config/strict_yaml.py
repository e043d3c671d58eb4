"""One YAML document without YAML's surprises, read and written; every failure is one sentence with its line.

PyYAML finds out how a text is nested; what the document means is decided here, so that no release
of PyYAML can change it.  Scalars follow YAML 1.2: ``1e9`` is a number, ``yes`` and ``1:30`` are text,
``010`` is ten.  ``<<`` follows the merge type of YAML 1.1: a section's own keys go first, then those
of the merged sections, the earlier one before the later; each counts with what it merges itself.
Refused: duplicate keys, keys that are not text, several documents, tags of other types, and
aliases that contain themselves or multiply without bound.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import yaml

from ..errors import ConfigError

_MOST_NODES = 100_000  # after aliases are expanded; a configuration has about a hundred
_PREFIX = "tag:yaml.org,2002:"
_TEXT, _WHOLE, _MERGE = _PREFIX + "str", _PREFIX + "int", _PREFIX + "merge"
_SCALARS = {
    "null": re.compile(r"(?:~|null|Null|NULL|)\Z"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    "int": re.compile(r"[-+]?[0-9][0-9_]*\Z"),
    "float": re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
    "merge": re.compile(r"<<\Z"),
}
_KINDS = {
    yaml.MappingNode: ("map",),
    yaml.SequenceNode: ("seq",),
    yaml.ScalarNode: (*_SCALARS, "str"),
}


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` with the scalars of YAML 1.2."""


class _Dumper(yaml.SafeDumper):
    """`yaml.SafeDumper` that quotes text which either version of YAML would read as something else."""


# Tried for any first character; the loader has no others: the inherited ones read 1:30 as ninety and yes as true.
_RESOLVERS = {None: [(_PREFIX + name, pattern) for name, pattern in _SCALARS.items()]}
_Loader.yaml_implicit_resolvers = _RESOLVERS
_Dumper.yaml_implicit_resolvers = {**yaml.SafeDumper.yaml_implicit_resolvers, **_RESOLVERS}
_CONSTANTS = {"inf": math.inf, "nan": math.nan}


class _Problem(Exception):
    """What is wrong with a document, and in which line."""

    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(problem)
        self.line = node.start_mark.line + 1


def parse_yaml(text: str, *, source: str) -> Any:
    """The document in ``text`` as dicts, lists and scalars; None if it is empty.

    Raises `ConfigError` naming ``source`` and the line.

    >>> parse_yaml("pairs: 1e9\\nnote: no", source="example")
    {'pairs': 1000000000.0, 'note': 'no'}
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, sizes={})
        return _value(node, {})
    except _Problem as problem:
        raise ConfigError(f"{source}, line {problem.line}: {problem}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        what = error.problem or error.context
        if what == "but found another document":
            what = "a second document starts here; keep one"
        raise ConfigError(f"{source}{where}: not valid YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(
            f"{source}: not a text file: character #x{error.character:04x} is not allowed"
        ) from None
    except RecursionError:
        raise ConfigError(f"{source}: not a configuration: nested too deeply") from None


def comment_in(text: str) -> str | None:
    """The first comment in a text that `parse_yaml` reads; None where it has none.

    >>> comment_in("run # 3.h5"), comment_in("'run # 3.h5'"), comment_in("run#3.h5")
    ('# 3.h5', None, None)
    """
    tokens = list(yaml.scan(text, Loader=_Loader))
    for before, behind in pairwise(tokens):
        _, sign, comment = text[before.end_mark.index : behind.start_mark.index].partition("#")
        if sign:
            return (sign + comment).splitlines()[0].rstrip()
    return None


def dump_yaml(document: Any) -> str:
    """The YAML of dicts, lists and scalars, in their order; `parse_yaml` reads the same values back.

    >>> dump_yaml({"number": 1e9, "text": "1e9"})
    "number: 1000000000.0\\ntext: '1e9'\\n"
    """
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _check(node: yaml.Node, *, sizes: dict[int, int]) -> int:
    """Nodes under ``node`` with aliases expanded; raises `_Problem` at what we do not read."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise _Problem(node, "this anchor contains itself; write the section out")
        return sizes[id(node)]
    sizes[id(node)] = 0
    if _kind(node) not in _KINDS[type(node)]:
        raise _Problem(node, f"the tag {_tag(node)} is not supported here; remove it")
    size = 1
    for child in _children(node):
        size += _check(child, sizes=sizes)
    if size > _MOST_NODES:
        raise _Problem(node, "not a configuration: too many values; write fewer aliases")
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node) -> list[yaml.Node]:
    """The keys and values, or the items, of a node that is in order itself."""
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        return [child for pair in node.value for child in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    _check_scalar(node)
    return []


def _kind(node: yaml.Node) -> str:
    return str(node.tag.removeprefix(_PREFIX))


def _tag(node: yaml.Node) -> str:
    """A node's tag as people write it."""
    return str(node.tag.replace(_PREFIX, "!!"))


def _check_keys(node: yaml.MappingNode) -> None:
    first: dict[str, int] = {}
    for key, value in node.value:
        name = key.value
        if key.tag == _MERGE:
            _check_merge(value)
        elif key.tag != _TEXT or not isinstance(key, yaml.ScalarNode):
            raise _Problem(key, f"the key {_excerpt(key)} is not text; a key is a name")
        if name in first:
            where = f"first in line {first[name]}"
            raise _Problem(key, f"duplicate key {name}, {where}; keep one of the two")
        first[name] = key.start_mark.line + 1


def _check_merge(value: yaml.Node) -> None:
    for section in _merged(value):
        if not isinstance(section, yaml.MappingNode):
            found = _excerpt(section)
            raise _Problem(section, f"<< takes a section or a list of sections, not {found}")


def _merged(value: yaml.Node) -> list[yaml.Node]:
    """The sections that stand behind ``<<``."""
    return list(value.value) if isinstance(value, yaml.SequenceNode) else [value]


def _check_scalar(node: yaml.Node) -> None:
    text = node.value
    pattern = _SCALARS.get(_kind(node))
    if pattern and not pattern.match(text):
        raise _Problem(node, f"{text[:40]!r} is not {_tag(node)}; remove the tag")
    if node.tag == _WHOLE and len(text) > 1000:
        raise _Problem(node, f"a number of {len(text)} digits; at most 1000 are read")


def _value(node: yaml.Node, made: dict[int, Any]) -> Any:
    """What a checked node means; ``made`` has the values of the nodes before, which aliases share."""
    if id(node) not in made:
        if isinstance(node, yaml.MappingNode):
            made[id(node)] = _mapping(node, made)
        elif isinstance(node, yaml.SequenceNode):
            made[id(node)] = [_value(child, made) for child in node.value]
        else:
            made[id(node)] = _scalar(node.tag.removeprefix(_PREFIX), node.value)
    return made[id(node)]


def _mapping(node: yaml.MappingNode, made: dict[int, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag == _MERGE:
            for section in reversed(_merged(value)):
                merged |= _value(section, made)
        else:
            own[key.value] = _value(value, made)
    return merged | own


def _scalar(kind: str, text: str) -> Any:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return int(text.replace("_", ""))
    if kind == "float":
        sign = text[:-3]
        name = text[-3:].lower()
        if name in _CONSTANTS:
            return -_CONSTANTS[name] if sign.startswith("-") else _CONSTANTS[name]
        return float(text.replace("_", ""))
    return text


def _excerpt(node: yaml.Node) -> str:
    return str(node.value)[:40] if isinstance(node, yaml.ScalarNode) else "in brackets"
