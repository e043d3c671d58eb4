"""What the models are made of: kinds of values, and sections that report all broken rules."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    core_schema,
)

from .complaints import Key, Need, equals, look_up

if TYPE_CHECKING:
    from typing_extensions import Self

_MOST_DIGITS = 1000
_NUMBER = r"[+-]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][+-]?[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a key takes, given as numbers or as their text (``"1e9"``)."""

    low: float
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    multiple_of: int = 1  # of integers

    def __contains__(self, value: float | Decimal) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        if self.high is None:
            return above
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        if self.high is None:
            return f"above {self.low:_}" if self.open_low else f"of at least {self.low:_}"
        from_low = "above" if self.open_low else "from"
        to_high = "to below" if self.open_high else "to"
        return f"{from_low} {self.low:_} {to_high} {self.high:_}"

    def __get_pydantic_core_schema__(
        self,
        source: Any,
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        read = self._integer if source is int else self._real
        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(
        self,
        schema: CoreSchema,
        handler: GetJsonSchemaHandler,
    ) -> dict[str, Any]:
        out = handler(schema)
        # The bounds bind numbers only, the pattern text only.
        out["type"] = [out["type"], "string"]
        out["pattern"] = f"^{_NUMBER}$"
        out["exclusiveMinimum" if self.open_low else "minimum"] = self.low
        if self.high is not None:
            out["exclusiveMaximum" if self.open_high else "maximum"] = self.high
        if self.multiple_of > 1:
            out["multipleOf"] = self.multiple_of
        return out

    def _integer(self, value: object) -> int:
        number = whole_number(value)
        if number is None or number not in self or number % self.multiple_of:
            kind = "whole number" if self.multiple_of == 1 else f"multiple of {self.multiple_of}"
            raise PydanticCustomError("range", f"must be a {kind} {self}")
        return number

    def _real(self, value: object) -> float:
        exact = _exact(value)
        number = math.nan if exact is None else float(exact)
        number += 0.0  # makes -0.0 0.0: equal values have equal digests
        if number == math.inf or number not in self:
            raise PydanticCustomError("range", f"must be a number {self}")
        return number


def whole_number(value: object) -> int | None:
    """The value of a whole number or of its text; None for all else."""
    number = _exact(value)
    if number is None or number.adjusted() > _MOST_DIGITS:
        return None
    whole = int(number)
    return whole if number == whole else None


def _exact(value: object) -> Decimal | None:
    """The value of a number or of its text; None for all else, and for booleans, nan, infinity."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, str):
            text = value.strip()
            return Decimal(text) if re.fullmatch(_NUMBER, text) else None
        if isinstance(value, numbers.Integral):
            return Decimal(int(value))
        if isinstance(value, numbers.Real) and math.isfinite(value):
            return Decimal(repr(float(value)))
    except (DecimalException, OverflowError):
        pass
    return None


Probability = Annotated[float, Range(0, 1)]
FlipProbability = Annotated[float, Range(0, 0.5)]
Fidelity = Annotated[float, Range(0.25, 1)]
SuccessProbability = Annotated[float, Range(0, 1, open_low=True)]
DarkProbability = Annotated[float, Range(0, 1, open_high=True)]
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, open_low=True)]


def about(meaning: str, *, unit: str = "", symbol: str = "") -> Any:
    """What the schema, the documentation and the errors say of a key.

    ``symbol`` is the key's name in formulas.
    """
    notes = ", ".join(filter(None, (symbol, unit)))
    description = f"{meaning} [{notes}]" if notes else meaning
    extra: Any = {}
    if unit:
        extra["unit"] = unit
    if symbol:
        extra["symbol"] = symbol
    return Field(description=description, json_schema_extra=extra)


#: A rule that a section breaks: the key below the section (or ""), a sentence, and its kind:
#: "none" where a choice is missing.
Breach = tuple[str, str, Literal["rule", "none"]]


class Section(BaseModel):
    """A frozen part of the configuration; all of its broken rules are reported together."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def _choices(cls, given: Mapping[str, Any]) -> Iterator[Breach]:
        """Rules about which keys are given; checked even where a value is wrong."""
        yield from ()

    def _rules(self) -> Iterator[Breach]:
        """Rules between values that are right one by one."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        given = {key: value for key, value in data.items() if value is not None}
        breaches = list(cls._choices(given))
        errors: list[InitErrorDetails] = []
        try:
            section = handler(dict(data))
            breaches += section._rules()
        except ValidationError as invalid:
            errors += map(_again, invalid.errors(include_url=False))
        for key, sentence, kind in breaches:
            loc = tuple(key.split(".")) if key else ()
            problem = PydanticCustomError(kind, sentence)
            errors.append({"type": problem, "loc": loc, "input": look_up(data, loc)})
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return section


def _again(error: ErrorDetails) -> InitErrorDetails:
    """An error of a part, to be raised among those of the whole."""
    kind = PydanticCustomError(error["type"], error["msg"], error.get("ctx"))
    return {"type": kind, "loc": error["loc"], "input": error["input"]}


def at_most_one(given: Mapping[str, Any], *names: str) -> Iterator[Breach]:
    """The rule that two of ``names`` exclude each other."""
    both = [name + equals(given[name]) for name in names if name in given]
    if len(both) > 1:
        found = " and ".join(both)
        remedy = f"keep one of {', '.join(names)}"
        yield "", f"{found} exclude each other; {remedy}", "rule"


def exactly_one(given: Mapping[str, Any], *names: str) -> Iterator[Breach]:
    """The rule that one of ``names`` must be given, and no second."""
    yield from at_most_one(given, *names)
    if not any(name in given for name in names):
        yield "", f"give exactly one of {', '.join(names)}", "none"


def chosen(section: object, key: str, default: object = None) -> object:
    """The value of ``key``, in a mapping to be validated or in a model."""
    if isinstance(section, Mapping):
        return section.get(key, default)
    return getattr(section, key, None)


def choose_by(
    key: str,
    tags: Mapping[str, str],
    *,
    default: str | None = None,
    problem: str,
) -> Discriminator:
    """Tells the members of a union of sections apart by the text at ``key``: text → member's tag.

    Tags stand in angle brackets, so that they are told from keys in an error's path.
    """

    def tag(section: object) -> str | None:
        choice = chosen(section, key, default)
        return tags.get(choice) if isinstance(choice, str) else None

    return Discriminator(tag, custom_error_type="choice", custom_error_message=problem)


def keys_of(
    section: type[Section],
    prefix: str = "",
    needs: tuple[Need, ...] = (),
) -> Iterator[Key]:
    """Every key in ``section`` and the sections below it, with the choices that bring it in."""
    for name, field in section.model_fields.items():
        path = prefix + name
        yield Key(path, field.description or "", needs)
        inner = _sections(field.annotation)
        for one in inner:
            choice = _need(path, one) if len(inner) > 1 else ()
            yield from keys_of(one, path + ".", needs + choice)


def _sections(annotation: Any) -> list[type[Section]]:
    """The sections that a field may hold, but for those with open keys."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        has_open_keys = annotation.model_config.get("extra") == "allow"
        return [] if has_open_keys else [annotation]
    found = []
    for part in get_args(annotation):
        found += _sections(part)
    return found


def _need(path: str, section: type[Section]) -> tuple[Need]:
    """The choice that makes ``section`` the one at ``path``; None stands for a choice left out."""
    key = "name" if "name" in section.model_fields else "type"
    if key not in section.model_fields:
        return ((f"{path}.{key}", (None,)),)
    field = section.model_fields[key]
    choices = get_args(field.annotation)
    if key == "name" or not field.is_required():
        choices += (None,)
    return ((f"{path}.{key}", choices),)
