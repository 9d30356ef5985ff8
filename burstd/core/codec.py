"""Values as JSON and back, by the type hints of their classes. Pure.

No field is named here: one that is added to a class is written from then on, and where an older
text lacks it, its default is read. What a text has and its class has not is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

from burstd.domain.jobs import JobKey


class Unfit(ValueError):
    """The text is not one of such a value."""


@dataclass(frozen=True)
class Codec:
    """``decode(encode(value)) == value``; what ``encode`` gives is JSON's."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    #: Equal values have equal words. 1.0 and 1.00 are equal, and not the same in a text.
    exact: bool = True

    def same(self, one: Any, other: Any) -> bool:
        """They would be written alike."""
        if self.exact:
            return bool(one == other)
        return one is other or text(self.encode(one)) == text(self.encode(other))


def text(words: Any) -> str:
    """One line of JSON, in ASCII."""
    return json.dumps(words, separators=(",", ":"), allow_nan=False)


def joined(texts: Mapping[str, str]) -> str:
    """The line of an object whose values are such lines."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in texts.items()) + "}"


@lru_cache(maxsize=1000)
def codec(hint: Any) -> Codec:
    """For values of this type. Raises ``TypeError`` for one that has no words yet."""
    hint = plain(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin = get_origin(hint) or hint
    if origin in {Union, UnionType}:
        return _union(get_args(hint))
    if origin in _MANY:
        return _MANY[origin](get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Codec(lambda value: value.name, lambda words: hint[words])
    if is_dataclass(hint):
        return _record(hint)
    if inner := condensed(hint):
        state = codec(inner)
        return Codec(lambda v: state.encode(v.state()), lambda w: hint.of(state.decode(w)), False)
    raise TypeError(f"no words for {hint}: burstd.core.codec must learn them")


def condensed(hint: Any) -> Any:
    """Of a class that hands out what it knows (``state``) and takes it back (``of``): of which type
    that is; ``None`` for others."""
    state = getattr(hint, "state", None) if hasattr(hint, "of") else None
    return get_type_hints(state)["return"] if state else None


def plain(hint: Any) -> Any:
    """What a ``NewType`` stands for."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    return hint


def parts(cls: Any) -> dict[str, Any]:
    """The hints of a dataclass's fields."""
    hints = get_type_hints(cls)
    return {one.name: hints[one.name] for one in fields(cls) if one.init}


def compared(cls: Any) -> bool:
    """All its fields count when two are compared."""
    return all(one.compare for one in fields(cls))


def check(cls: str, names: Iterable[str], there: Container[str]) -> None:
    """Raises ``Unfit`` for a name that is not among those of the class."""
    for name in names:
        if name not in there:
            raise Unfit(f"{cls} has no {name}: a later burstd has written it")


def _record(cls: Any) -> Codec:
    inner = {name: codec(hint) for name, hint in parts(cls).items()}
    exact = compared(cls) and all(one.exact for one in inner.values())

    def decode(words: Mapping[str, Any]) -> Any:
        check(cls.__name__, words, inner)
        return cls(**{name: inner[name].decode(word) for name, word in words.items()})

    def encode(value: Any) -> Any:
        return {name: one.encode(getattr(value, name)) for name, one in inner.items()}

    return Codec(encode, decode, exact)


def _union(hints: tuple[Any, ...]) -> Codec:
    """``None`` is null; of several others each has its type's name before it."""
    others = {_name(hint): hint for hint in hints if hint is not NoneType}
    if len(others) == 1:
        (one,) = map(codec, others.values())
        return Codec(
            lambda value: None if value is None else one.encode(value),
            lambda words: None if words is None else one.decode(words),
            one.exact,
        )
    inner = {name: codec(hint) for name, hint in others.items()}

    def encode(value: Any) -> Any:
        return None if value is None else [(n := type(value).__name__), inner[n].encode(value)]

    def decode(words: Any) -> Any:
        return None if words is None else inner[words[0]].decode(words[1])

    return Codec(encode, decode, all(one.exact for one in inner.values()))


def _name(hint: Any) -> str:
    """That of the values' own type."""
    name: str = (get_origin(plain(hint)) or plain(hint)).__name__
    return name


def _tuple(hints: tuple[Any, ...]) -> Codec:
    if hints[1:] == (...,):
        one = codec(hints[0])
        return Codec(
            lambda value: [one.encode(v) for v in value],
            lambda words: tuple(one.decode(w) for w in words),
            one.exact,
        )
    inner = [codec(hint) for hint in hints]
    return Codec(
        lambda value: [c.encode(v) for c, v in zip(inner, value, strict=True)],
        lambda words: tuple(c.decode(w) for c, w in zip(inner, words, strict=True)),
        all(c.exact for c in inner),
    )


def _set(hints: tuple[Any, ...]) -> Codec:
    one = codec(hints[0])
    return Codec(
        lambda value: sorted(map(one.encode, value), key=text),
        lambda words: frozenset(map(one.decode, words)),
        one.exact,
    )


def _mapping(hints: tuple[Any, ...]) -> Codec:
    """Pairs, in their order."""
    key, value = map(codec, hints)
    return Codec(
        lambda found: [[key.encode(k), value.encode(v)] for k, v in found.items()],
        lambda words: {key.decode(k): value.decode(v) for k, v in words},
        key.exact and value.exact,
    )


def _same(value: Any) -> Any:
    return value


def _float(value: float) -> Any:
    return value if math.isfinite(value) else repr(value)


def _job_words(key: JobKey) -> str:
    task = "" if key.array_task is None else f"_{key.array_task}"
    return f"{key.job_id}{task} {key.cluster}"


def _job_key(number: str, cluster: str) -> JobKey:
    return JobKey.parse(cluster, number)


_MICROSECOND = timedelta(microseconds=1)
_AS_IT_IS = Codec(_same, _same)
_PLAIN: dict[Any, Codec] = {
    str: _AS_IT_IS,
    int: _AS_IT_IS,
    bool: _AS_IT_IS,
    float: Codec(_float, lambda words: float(words) if isinstance(words, str) else words, False),
    Decimal: Codec(str, Decimal, False),
    datetime: Codec(datetime.isoformat, datetime.fromisoformat),
    date: Codec(date.isoformat, date.fromisoformat),
    #: There are many, and they are short.
    JobKey: Codec(_job_words, lambda words: _job_key(*words.split(" ", 1))),
    timedelta: Codec(lambda value: value // _MICROSECOND, lambda n: timedelta(microseconds=n)),
}
_MANY: dict[Any, Callable[[tuple[Any, ...]], Codec]] = {
    tuple: _tuple,
    frozenset: _set,
    Mapping: _mapping,
    dict: _mapping,
    Literal: lambda _: _AS_IT_IS,
}
