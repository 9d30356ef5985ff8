"""Several TOML files as one: what is included comes first, what includes it has the last word.

Tables are merged key by key. Lists of tables (``[[policy.labels]]``) are appended to each other: a
rule of one layer can't be dropped by another.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

Where = tuple[str, ...]

_WILD = frozenset("*?[")
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]")
_KEY = re.compile(r"\s*([\w.\"'-]+)\s*=")


class LayerError(Exception):
    """A file that can't be read or is no TOML, or an ``include`` that leads nowhere."""


@dataclass(frozen=True)
class Layer:
    """One file. ``offsets``: how many tables of a list, by its dotted path, come before its own."""

    path: Path
    text: str
    tables: Mapping[str, Any]
    offsets: Mapping[Where, int]

    def depth(self, where: Where) -> int:
        """How far down this file holds the key."""
        found, here = 0, self._own(where)
        node: Any = self.tables
        for part in here:
            if isinstance(node, dict) and part in node:
                node = node[part]
            elif isinstance(node, list) and part.isdecimal() and int(part) < len(node):
                node = node[int(part)]
            else:
                break
            found += 1
        return found

    def line(self, where: Where) -> int | None:
        """Where the key stands, or what is nearest above it, or the first that is below it; tomllib
        keeps no positions."""
        own, nearest, best, below = self._own(where), None, 0, None
        for number, place in _places(self.text):
            if place == own:
                return number
            if len(place) > best and own[: len(place)] == place:
                nearest, best = number, len(place)
            if below is None and place[: len(own)] == own:
                below = number
        return nearest or below

    def _own(self, where: Where) -> Where:
        """The key as this file counts its lists."""
        for at, part in enumerate(where):
            if part.isdecimal() and where[:at] in self.offsets:
                return (*where[:at], str(int(part) - self.offsets[where[:at]]), *where[at + 1 :])
        return where


@dataclass(frozen=True)
class Layers:
    """``files``: in the order in which they were merged; the last is the one that was asked for."""

    files: tuple[Layer, ...]
    tables: dict[str, Any]

    def place(self, where: Where) -> str:
        """``file:line`` of the layer that decides this key."""
        layer = self._layer(where)
        line = layer.line(where)
        return f"{layer.path}:{line}" if line else str(layer.path)

    def given(self, where: Where) -> str | None:
        """The same; ``None`` where no layer says anything of it."""
        return self.place(where) if self._layer(where).depth(where) == len(where) else None

    def _layer(self, where: Where) -> Layer:
        return max(reversed(self.files), key=lambda layer: layer.depth(where))


def load(path: Path) -> Layers:
    """Read a file and all that it includes. Raises ``LayerError``."""
    files: list[Layer] = []
    merged: dict[str, Any] = {}
    for file, text, tables in _read(path, ()):
        offsets = {where: len(_at(merged, where)) for where in _lists(tables, ())}
        files.append(Layer(file, text, tables, offsets))
        _merge(merged, tables)
    return Layers(tuple(files), merged)


def _read(path: Path, above: tuple[Path, ...]) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    path = Path(os.path.normpath(path))
    if path in above:
        raise LayerError(f"{path}: it includes itself, by {' -> '.join(map(str, above))}")
    try:
        text = path.read_text()
        tables = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # the last: lists too deep
        raise LayerError(f"{path}: {error}") from error
    patterns = tables.pop("include", [])
    if not (isinstance(patterns, list) and all(isinstance(p, str) for p in patterns)):
        raise LayerError(f"{path}: include: expected a list of file names or patterns")
    for pattern in patterns:
        top, below = path.parent, pattern
        if Path(pattern).is_absolute():
            top, below = Path("/"), pattern.lstrip("/")
        try:
            found = _matching(top, below)
        except (ValueError, OSError) as error:
            raise LayerError(f"{path}: include: {pattern!r}: {error}") from error
        if not found and not _WILD & set(pattern):
            raise LayerError(f"{path}: include: there is no file {pattern}")
        for file in found:
            yield from _read(file, (*above, path))
    yield path, text, tables


def _matching(top: Path, below: str) -> list[Path]:
    """In order. Raises ``OSError`` for a directory that can't be listed, which ``glob`` takes for
    an empty one: what lies in it may be a rule that keeps jobs here."""
    above = [directory for directory in PurePath(below).parents if directory.parts]
    looked = [top, *(found for pattern in above for found in top.glob(str(pattern)))]
    for directory in looked:
        if directory.is_dir():
            os.scandir(directory).close()
    named = PurePath(below).name.startswith(".")  # as for a shell: editors leave such files
    return sorted(file for file in top.glob(below) if named or not file.name.startswith("."))


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        known = into.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        elif isinstance(known, list) and _is_list_of_tables(known) and _is_tables(value):
            known.extend(value)  # an empty list drops nothing that another layer says
        else:
            into[key] = deepcopy(value)


def _is_list_of_tables(value: Any) -> bool:
    return bool(value) and _is_tables(value)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) for v in value)


def _lists(tables: Mapping[str, Any], above: Where) -> Iterator[Where]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _lists(value, (*above, key))
        elif _is_list_of_tables(value):
            yield (*above, key)


def _at(tables: Mapping[str, Any], where: Where) -> list[Any]:
    node: Any = tables
    for part in where:
        node = node.get(part, {}) if isinstance(node, dict) else {}
    return node if isinstance(node, list) else []


def _places(text: str) -> Iterator[tuple[int, Where]]:
    """Every table header and key, found as text."""
    table: Where = ()
    counts: dict[Where, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, str(counts[table]))
            yield number, table
        elif key := _KEY.match(line):
            yield number, (*table, key[1].strip("\"'"))
