"""Long tuples and mappings as tables: how the rows of one differ from those of another. Pure.

The words of a change: ``order``, the rows as they are now, in runs (``first, count`` of those from
before; ``-1, count`` for new ones); ``new``, the cells of the new ones by column, in ``runs``
(``count, value``) where that is shorter; ``changed``, cells of the others, in runs (``row, count,
value``). Numbers and times that change are told by how much: what runs has run so much longer, all
of it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from datetime import timedelta
from functools import cached_property
from itertools import groupby
from operator import attrgetter, eq
from typing import Any, Final, NamedTuple

from burstd.core.codec import Codec, check, codec, compared, joined, parts, plain, text
from burstd.domain.budgets import Charge
from burstd.domain.jobs import JobIdentity, QueuedJob
from burstd.domain.plan import Decline, Placement
from burstd.domain.policy import End

NOTHING: Final[Any] = object()  #: comes before the first value

_FEW = 1000  #: cells that tell whether the others are worth to be written in runs
_JOB = attrgetter("identity.key.job_id", "identity.key.array_task")
_BURST = attrgetter("at", "user")
#: What is the same row in two looks, quickly told; a wrong guess costs words, and nothing else.
#: Where there is none, who stands in the same place.
_KEYS: Mapping[Any, Callable[[Any], Any]] = {
    QueuedJob: _JOB,
    Decline: _JOB,
    Placement: _JOB,
    JobIdentity: attrgetter("key.job_id", "key.array_task"),
    Charge: _BURST,
    End: _BURST,
}


@dataclass(frozen=True)
class Column:
    """One value of each row. ``adds``: a change is told by how much."""

    name: str
    get: Callable[[Any], Any]
    codec: Codec
    adds: bool

    def new(self, rows: Iterable[Any]) -> str:
        """The cells of these rows."""
        values = list(map(self.get, rows))
        few = values[:_FEW]
        if self.codec.exact and sum(map(eq, few, few[1:])) * 2 < len(few):
            return text(list(map(self.codec.encode, values)))
        return text({"runs": [word for run in _alike(values, self.codec) for word in run]})

    def changes(self, touched: Iterable[tuple[int, Any, Any]]) -> str:
        """Of rows (place, before, after): the cells that differ, in runs; empty: none."""
        places, values = [], []
        encode, form = self.codec.encode, codec(int) if self.adds else self.codec
        for at, before, after in touched:
            old, new = self.get(before), self.get(after)
            if old is not new and not self.codec.same(old, new):
                places.append(at)
                values.append(encode(new) - encode(old) if self.adds else new)
        words: list[Any] = []
        done = 0
        for count, value in _alike(values, form):
            for first, length in _stretches(places[done : done + count]):
                words += [first, length, value]
            done += count
        return text(words) if words else ""

    def change(self, cells: list[Any], words: Sequence[Any]) -> Iterator[slice]:
        """Carry out ``changes``; the rows that they are in."""
        for first, count, value in zip(words[::3], words[1::3], words[2::3], strict=True):
            rows = slice(first, first + count)
            cells[rows] = [old + value for old in cells[rows]] if self.adds else [value] * count
            yield rows


@dataclass(frozen=True)
class Shape:
    """How a value of a row is made: of one column, or of ``parts``."""

    column: Column | None
    make: Callable[..., Any]
    parts: Mapping[str, Shape]
    exact: bool  #: equal ones are written alike

    @classmethod
    def of(cls, hint: Any, path: str = "") -> Shape:
        """``path``: where it is in its row. Classes are taken apart, unless they may be missing."""
        hint = plain(hint)
        if is_dataclass(hint):
            make: Any = hint
            dot = f"{path}." if path else ""
            inner = {name: cls.of(part, dot + name) for name, part in parts(hint).items()}
            exact = compared(hint) and all(part.exact for part in inner.values())
            return cls(None, make, inner, exact)
        get = attrgetter(path)
        form = codec(hint)
        return cls(Column(path, get, form, hint in {int, timedelta}), get, {}, form.exact)

    def columns(self) -> Iterator[Column]:
        if self.column is not None:
            yield self.column
        for part in self.parts.values():
            yield from part.columns()

    def maker(self, cells: Mapping[str, Sequence[Any]]) -> Callable[[int], Any] | None:
        """Makes it for one row; ``None`` where no column of it is there."""
        if self.column is not None:
            mine, decode = cells.get(self.column.name), self.column.codec.decode
            return None if mine is None else lambda at: decode(mine[at])
        make, makers = self.make, {name: part.maker(cells) for name, part in self.parts.items()}
        there = [(name, maker) for name, maker in makers.items() if maker is not None]
        return (lambda at: make(**{name: maker(at) for name, maker in there})) if there else None


class Pair(NamedTuple):
    """One of a mapping."""

    key: Any
    value: Any


class Pairs(Sequence[Any]):
    """A mapping's, in its order. None is made before it is asked for: there are many."""

    def __init__(self, mapping: Mapping[Any, Any]) -> None:
        self.keys = list(mapping)
        self.values = list(mapping.values())

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, at: Any) -> Any:
        return Pair(self.keys[at], self.values[at])


@dataclass(frozen=True)
class Table:
    """The rows of a tuple, or the pairs of a mapping, as a node of ``core.delta``. ``key``: of a
    row, or of a mapping's key."""

    name: str
    shape: Shape
    key: Callable[[Any], Any] | None
    pairs: bool = False

    @classmethod
    def of_rows(cls, row: Any) -> Table:
        """Of ``tuple[row, ...]``."""
        return cls(row.__name__, Shape.of(row), _KEYS.get(row))

    @classmethod
    def of_pairs(cls, key: Any, value: Any) -> Table:
        """Of ``Mapping[key, value]``, which keep their order."""
        sides = {"key": Shape.of(key, "key"), "value": Shape.of(value, "value")}
        shape = Shape(None, Pair, sides, all(side.exact for side in sides.values()))
        return cls("a mapping", shape, _KEYS.get(key, lambda key: key), pairs=True)

    @cached_property
    def columns(self) -> dict[str, Column]:
        return {column.name: column for column in self.shape.columns()}

    def diff(self, before: Any, after: Any) -> str:
        if before is after:
            return ""
        old, new = self._rows(() if before is NOTHING else before), self._rows(after)
        sources, touched = self._matched(old, new)
        words: dict[str, str] = {}
        order = _order(sources)
        if before is NOTHING or order != ([0, len(old)] if old else []):
            words["order"] = text(order)
        if fresh := [new[at] for at, source in enumerate(sources) if source < 0]:
            words["new"] = joined({name: one.new(fresh) for name, one in self.columns.items()})
        if touched:
            rows = [(at, old[sources[at]], new[at]) for at in touched]
            runs = {name: one.changes(rows) for name, one in self.columns.items()}
            words["changed"] = joined({name: found for name, found in runs.items() if found})
        return joined(words) if words else ""

    def cell(self) -> TableCell:
        return TableCell(self)

    def _rows(self, value: Any) -> Any:
        return Pairs(value or {}) if self.pairs else value

    def _matched(self, old: Any, new: Any) -> tuple[list[int], list[int]]:
        """Where each row comes from (-1: it is new), and which are not as they were there."""
        same, known = self._same(old, new), len(old)
        names = new.keys if self.pairs else new
        places: dict[Any, int] | None = None
        sources: list[int] = []
        touched: list[int] = []
        source = -1
        for at, name in enumerate(names):
            source += 1  # most follow who they followed before
            if source >= known or not same(source, at):
                if self.key is None:
                    source = at if at < known else -1
                else:
                    if places is None:
                        keys = map(self.key, old.keys if self.pairs else old)
                        places = {key: place for place, key in enumerate(keys)}
                    source = places.get(self.key(name), -1)
                if source >= 0 and not same(source, at):
                    touched.append(at)
            sources.append(source)
        return sources, touched

    def _same(self, old: Any, new: Any) -> Callable[[int, int], bool]:
        """Are these two rows, by their numbers, written alike? Most are, and many the same object:
        the quickest way counts."""
        exact, alike = self.shape.exact, self._alike
        if not self.pairs:
            if exact:
                return lambda i, j: old[i] is new[j] or old[i] == new[j]
            return lambda i, j: old[i] is new[j] or alike(old[i], new[j])
        olds, news, was, now = old.keys, new.keys, old.values, new.values
        if exact:
            return lambda i, j: (
                (olds[i] is news[j] or olds[i] == news[j])
                and (was[i] is now[j] or was[i] == now[j])
            )
        return lambda i, j: (olds[i] is news[j] and was[i] is now[j]) or alike(old[i], new[j])

    def _alike(self, one: Any, other: Any) -> bool:
        columns = self.columns.values()
        return all(c.codec.same(c.get(one), c.get(other)) for c in columns)


class TableCell:
    """The cells by column, and the rows that have been made of them."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._cells: dict[str, list[Any]] = {}
        self._rows: list[Any] = []
        self._value: Any = NOTHING

    def take(self, words: Any) -> None:
        new, changed = words.get("new", {}), words.get("changed", {})
        check(self._table.name, (*new, *changed), self._table.columns)
        if "order" in words:
            self._put_in_order(words["order"], new)
        for name, runs in changed.items():
            for rows in self._table.columns[name].change(self._cells[name], runs):
                self._rows[rows] = [NOTHING] * (rows.stop - rows.start)
        self._value = NOTHING

    def value(self) -> Any:
        if self._value is NOTHING:
            self._make(at for at, row in enumerate(self._rows) if row is NOTHING)
            self._value = dict(self._rows) if self._table.pairs else tuple(self._rows)
        return self._value

    def where(self, column: str, word: Any) -> list[Any]:
        """The rows with this in that column."""
        places = [at for at, cell in enumerate(self._cells.get(column, [])) if cell == word]
        self._make(at for at in places if self._rows[at] is NOTHING)
        return [self._rows[at] for at in places]

    def _make(self, places: Iterable[int]) -> None:
        maker = self._table.shape.maker(self._cells)
        if maker is not None:
            for at in places:
                self._rows[at] = maker(at)

    def _put_in_order(self, order: Sequence[int], new: Mapping[str, Any]) -> None:
        fresh = {name: _unfolded(words) for name, words in new.items()}
        self._cells = {
            name: _ordered(order, self._cells.get(name, []), fresh.get(name, []))
            for name in {**self._cells, **fresh}
        }
        unmade = [NOTHING] * sum(count for first, count in _pairs(order) if first < 0)
        self._rows = _ordered(order, self._rows, unmade)


def _alike(values: Iterable[Any], form: Codec) -> Iterator[tuple[int, Any]]:
    """(count, word) of each run of values that are written alike."""
    if form.exact:
        for value, alike in groupby(values):
            yield len(list(alike)), form.encode(value)
    else:
        for _, same in groupby(map(form.encode, values), repr):
            words = list(same)
            yield len(words), words[0]


def _unfolded(words: Any) -> Any:
    """The cells that ``Column.new`` wrote."""
    if isinstance(words, list):
        return words
    return [word for count, word in _pairs(words["runs"]) for _ in range(count)]


def _stretches(places: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, count) of each run of places without a gap."""
    for _, run in groupby(enumerate(places), lambda found: found[1] - found[0]):
        found = [at for _, at in run]
        yield found[0], len(found)


def _order(sources: Iterable[int]) -> list[int]:
    """As ``order`` has it."""
    words: list[int] = []
    first, count = 0, 0
    for source in sources:
        if count and source == (first + count if first >= 0 else -1):
            count += 1
            continue
        if count:
            words += [first, count]
        first, count = source, 1
    return [*words, first, count] if count else words


def _ordered(order: Sequence[int], old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    rows: list[Any] = []
    taken = 0
    for first, count in _pairs(order):
        if first < 0:
            rows += new[taken : taken + count]
            taken += count
        else:
            rows += old[first : first + count]
    return rows


def _pairs(words: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(words[::2], words[1::2], strict=True)
