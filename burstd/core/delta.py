"""What makes one value another, as JSON, and back. Pure; by the type hints of their classes.

``diff(before, after)`` of a node gives a text; its ``cell()`` is at ``before`` once it has taken
what all the texts until then say, and at ``after`` once it has taken this. ``NOTHING`` comes before
the first. Long tuples and mappings are tables (``core.table``): what stays
costs a comparison, and no words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from typing import Any, Protocol, get_args, get_origin

from burstd.core.codec import Codec, check, codec, condensed, joined, parts, text
from burstd.core.table import NOTHING, Table


class Cell(Protocol):
    """A value that is put together from what has changed."""

    def take(self, words: Any) -> None:
        """What the next line says."""

    def value(self) -> Any:
        """As it is now; the same object until something changes."""


class Node(Protocol):
    """How values of one type differ."""

    def diff(self, before: Any, after: Any) -> str:
        """A line of JSON; empty where there is no difference."""

    def cell(self) -> Cell:
        """One that has taken nothing yet."""


@lru_cache(maxsize=1000)
def node(hint: Any) -> Node:
    """For values of this type. Raises ``TypeError`` for one that has no words yet."""
    if is_dataclass(hint):
        return Fields(hint, {name: node(inner) for name, inner in parts(hint).items()})
    if inner := condensed(hint):
        return Condensed(hint, node(inner))
    origin, hints = get_origin(hint), get_args(hint)
    if origin is tuple and hints[1:] == (...,) and is_dataclass(hints[0]):
        return Table.of_rows(hints[0])
    if origin is Mapping:
        return Table.of_pairs(*hints)
    if origin is frozenset:
        return Group(codec(hint))
    return Whole(codec(hint))


@dataclass(frozen=True)
class Whole:
    """A value that is written anew."""

    codec: Codec

    def diff(self, before: Any, after: Any) -> str:
        alike = before is not NOTHING and self.codec.same(before, after)
        return "" if alike else text(self.codec.encode(after))

    def cell(self) -> Cell:
        return WholeCell(self.codec)


class WholeCell:
    def __init__(self, form: Codec) -> None:
        self._codec = form
        self._value: Any = NOTHING

    def take(self, words: Any) -> None:
        self._value = self._codec.decode(words)

    def value(self) -> Any:
        return self._value


@dataclass(frozen=True)
class Fields:
    """A dataclass: the fields that differ."""

    cls: Any
    nodes: Mapping[str, Node]

    def diff(self, before: Any, after: Any) -> str:
        if before is after:
            return ""
        words = {}
        for name, inner in self.nodes.items():
            old = NOTHING if before is NOTHING else getattr(before, name)
            if word := inner.diff(old, getattr(after, name)):
                words[name] = word
        return joined(words) if words else ""

    def cell(self) -> FieldsCell:
        return FieldsCell(self)


class FieldsCell:
    """A field that nothing was said of has its default."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.cells: dict[str, Cell] = {}
        self._value: Any = NOTHING

    def take(self, words: Any) -> None:
        check(self._fields.cls.__name__, words, self._fields.nodes)
        for name, word in words.items():
            if name not in self.cells:
                self.cells[name] = self._fields.nodes[name].cell()
            self.cells[name].take(word)
        self._value = NOTHING

    def value(self) -> Any:
        if self._value is NOTHING:
            found = {name: cell.value() for name, cell in self.cells.items()}
            self._value = self._fields.cls(**found)
        return self._value


@dataclass(frozen=True)
class Condensed:
    """A class that hands out what it knows as a value of another."""

    cls: Any
    inner: Node

    def diff(self, before: Any, after: Any) -> str:
        if before is after:
            return ""
        return self.inner.diff(NOTHING if before is NOTHING else before.state(), after.state())

    def cell(self) -> Cell:
        return CondensedCell(self)


class CondensedCell:
    def __init__(self, made: Condensed) -> None:
        self._cls, self._state = made.cls, made.inner.cell()
        self._value: Any = NOTHING

    def take(self, words: Any) -> None:
        self._state.take(words)
        self._value = NOTHING

    def value(self) -> Any:
        if self._value is NOTHING:
            self._value = self._cls.of(self._state.value())
        return self._value


@dataclass(frozen=True)
class Group:
    """A set: what came, and what went."""

    codec: Codec

    def diff(self, before: Any, after: Any) -> str:
        if before is after or before == after:
            return ""
        old = frozenset() if before is NOTHING else before
        return text({"in": self.codec.encode(after - old), "out": self.codec.encode(old - after)})

    def cell(self) -> Cell:
        return GroupCell(self.codec)


class GroupCell:
    def __init__(self, form: Codec) -> None:
        self._codec = form
        self._value: frozenset[Any] = frozenset()

    def take(self, words: Any) -> None:
        came, went = (self._codec.decode(words[name]) for name in ("in", "out"))
        self._value = (self._value | came) - went

    def value(self) -> Any:
        return self._value
