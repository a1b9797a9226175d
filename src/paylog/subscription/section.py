"""A section of a configuration document: strict, frozen, and every mistake in it reported at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from paylog.connections import environment_variable

Path = tuple[str | int, ...]

_WORDED = "paylog"
_MISSING = "this key is required"
_SECRET = re.compile(r"pass(word|wd|phrase)?|pwd|secret|token|api_?key|access_?key|credential|private_?key")


class Problem(NamedTuple):
    """One mistake: where in the document, and what to do about it."""

    path: Path
    message: str


class Section(BaseModel):
    """Base of every section. Unknown keys, wrong values and contradictions all end in one error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def contradictions(cls, data: Mapping[Any, Any]) -> Iterator[Problem]:
        """What does not fit together in the document as written, even when other parts are wrong."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _every_mistake(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        keys = [field.alias or name for name, field in cls.model_fields.items()]
        unknown = [key for key in data if key not in keys]
        problems = [Problem((str(key),), _unknown_key(key, keys)) for key in unknown]
        meant = {(_nearest(key, keys),) for key in unknown}
        try:
            section = handler({key: value for key, value in data.items() if key in keys})
        except ValidationError as error:
            problems += (p for p in problems_of(error) if not (p.message == _MISSING and p.path in meant))
        problems += cls.contradictions(data)
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, [_line_error(p) for p in problems])
        return section


def problem(message: str) -> PydanticCustomError:
    """What a validator of a value raises; the message is shown as it is."""
    # pydantic hands the template on untouched when there is nothing to fill in.
    return PydanticCustomError(_WORDED, message)


def problems_of(error: ValidationError) -> list[Problem]:
    """The mistakes that validation of a section found."""
    return [_problem(details) for details in error.errors(include_url=False)]


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """``, did you mean 'x'?`` for the nearest of the known words, or nothing."""
    nearest = _nearest(word, known)
    return f", did you mean {nearest!r}?" if nearest else ""


def _nearest(word: object, known: Iterable[object]) -> str | None:
    if not isinstance(word, str):
        return None
    by_lower = {str(k).lower(): str(k) for k in known}
    nearest = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[nearest[0]] if nearest else None


def shown(value: object) -> str:
    """A value for a message, cut short; an address is never shown, it may hold a password."""
    if _composite(value):
        return _kind(value)
    text = repr(value)
    if re.search(r"://|\w@", text):
        return "an address (not shown)"
    return text if len(text) <= 60 else f"{text[:57]}…{text[-1]}"


def looks_secret(key: object) -> bool:
    """Whether a key names what belongs in a connection, like ``password`` or ``api-key``."""
    return isinstance(key, str) and bool(_SECRET.search(key.lower().replace("-", "_")))


def _unknown_key(key: object, known: list[str]) -> str:
    if isinstance(key, bool):
        return f"YAML reads this key as {str(key).lower()}; put it in quotes"
    if looks_secret(key):
        example = environment_variable("<connection id>")
        return (
            f"{key!r} looks like a secret, and secrets do not belong in a file: put it in the connection "
            f"(Airflow's connections, or the variable {example}) and name the connection here"
        )
    return f"unknown key {key!r}" + (did_you_mean(key, known) or f"; known here: {', '.join(known)}")


def _line_error(found: Problem) -> InitErrorDetails:
    return InitErrorDetails(type=problem(found.message), loc=found.path, input=None)


def _problem(details: ErrorDetails) -> Problem:
    # "[key]" and the tags of unions, "[db2]", are pydantic's; a document has no such keys.
    path = tuple(part for part in details["loc"] if not (isinstance(part, str) and part.startswith("[")))
    return Problem(path, _worded(details))


def _worded(details: ErrorDetails) -> str:
    """Pydantic's error in the words of somebody who writes YAML."""
    kind, value = details["type"], details["input"]
    match kind:
        case "missing":
            return _MISSING
        case "string_type" if isinstance(value, bool):
            return "YAML reads an unquoted yes, no, on, off, true or false as a boolean: put it in quotes"
        case "string_type":
            return f"expected text, not {_kind(value)}" + ("" if _composite(value) else ": put it in quotes")
        case "enum":
            known = re.findall(r"'([^']*)'", str(details["ctx"]["expected"]))
            return f"unknown value {shown(value)}{did_you_mean(value, known)} (one of: {', '.join(known)})"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return f"expected a mapping (key: value), not {_kind(value)}"
        case "list_type" | "tuple_type":
            return f"expected a list, not {_kind(value)}"
        case "string_too_short" | "too_short":
            return "must not be empty"
        case "bool_type":
            return f"expected true or false, not {_kind(value)}"
    return details["msg"] if kind == _WORDED else details["msg"].replace("Input should", "should")


def _composite(value: object) -> bool:
    return value is None or isinstance(value, Mapping | list)


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return "a date" if hasattr(value, "year") else type(value).__name__
