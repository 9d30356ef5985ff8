"""Strict reading of JSON objects that came from somewhere else."""

from __future__ import annotations

import json
from typing import Any, Optional


class BadFields(ValueError):
    """A JSON object lacks a field, has one too many, or one of the wrong type."""


class Fields:
    """One JSON object, read field by field. Every reader raises BadFields in words."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise BadFields(f"{where}: an object is expected")
        self._value: dict[str, object] = value
        self._read: set[str] = set()
        self._where = where

    @classmethod
    def parse(cls, document: bytes, where: str) -> Fields:
        """Reads a whole JSON document."""
        try:
            return cls(json.loads(document.decode("utf-8")), where)
        except (ValueError, RecursionError) as error:
            raise BadFields(f"{where}: not a JSON object ({error})") from error

    def _take(self, name: str) -> object:
        if name not in self._value:
            raise BadFields(f"{self._where}: no {name}")
        self._read.add(name)
        return self._value[name]

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def raw(self, name: str) -> Any:
        """The field as it is."""
        return self._take(name)

    def text(self, name: str) -> str:
        """A string without NUL."""
        return self._text(self._take(name), name)

    def _text(self, value: object, name: str) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise BadFields(f"{self._where}: {name} is not a text")
        return value

    def optional_text(self, name: str) -> Optional[str]:
        """A string, or None for null."""
        value = self._take(name)
        return None if value is None else self._text(value, name)

    def integer(self, name: str, least: int = 0) -> int:
        """A whole number, not below `least`."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise BadFields(f"{self._where}: {name} is not a number from {least}")
        return value

    def optional_integer(self, name: str) -> Optional[int]:
        """A whole number, or None for null."""
        if not self.has(name):
            self._take(name)
            return None
        return self.integer(name)

    def real(self, name: str) -> float:
        """A number."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadFields(f"{self._where}: {name} is not a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """true or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise BadFields(f"{self._where}: {name} is not true or false")
        return value

    def items(self, name: str) -> list[object]:
        """A list of anything."""
        value = self._take(name)
        if not isinstance(value, list):
            raise BadFields(f"{self._where}: {name} is not a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(self._text(value, name) for value in self.items(name))

    def text_map(self, name: str) -> dict[str, str]:
        """An object of strings."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise BadFields(f"{self._where}: {name} is not an object")
        return {self._text(key, name): self._text(entry, name) for key, entry in value.items()}

    def done(self) -> None:
        """Refuses fields that nobody has read: a newer writer, or a typing error."""
        more = sorted(set(self._value) - self._read)
        if more:
            raise BadFields(f"{self._where}: unknown {', '.join(more)}")


def canonical(value: object) -> bytes:
    """The one spelling of a JSON value: what digests and signatures are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
