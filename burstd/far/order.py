"""The order: everything the far end is told about one attempt of one burst.

The on-prem agent writes it with `Order.to_json`, the runner reads it with `Order.parse`; both
refuse the same things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burstd.far import paths
from burstd.far.errors import FarError
from burstd.far.fields import BadFields, Fields, canonical

SCHEMA = 2

_TOP = re.compile(r"/[A-Za-z0-9._-]+")
_SYSTEM = re.compile(r"/(usr|bin|sbin|lib[^/]*|etc|dev|proc|sys|run|boot|root|var|\.+|\.burst)")
_NAME = re.compile(r"[^=\0]+")
_EXPORT = re.compile(r"SLURM_[A-Z0-9_]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SECRET = re.compile(r"([0-9a-f]{2}){16,}")


class OrderError(BadFields):
    """An order that must not be carried out, in words."""


@dataclass(frozen=True)
class InputFile:
    """A staged file: its on-prem path and what proves that it is the right one."""

    path: str
    size: int
    blake3: str
    mtime_ns: int
    mode: int

    @classmethod
    def read(cls, fields: Fields) -> InputFile:
        """Reads one entry of a manifest. Raises BadFields or FarError(refused)."""
        row = [fields.raw(name) for name in ("path", "size", "blake3", "mtime_ns", "mode")]
        fields.done()
        return cls.of(row)

    @classmethod
    def of(cls, row: Sequence[object]) -> InputFile:
        """The same of its values, in the order of the fields."""
        path, size, digest, mtime_ns, mode = row
        if not (type(path) is str and type(size) is type(mtime_ns) is type(mode) is int):
            raise BadFields("not a file's path, size, time and mode")
        if size < 0 or mode < 0 or not -(2**63) <= mtime_ns < 2**63:
            raise BadFields("a file with a size, time or mode that none has")
        if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise BadFields("blake3 is not a digest")
        paths.split(path)
        return cls(path, size, digest, mtime_ns, mode & 0o777)

    def to_dict(self) -> dict[str, object]:
        """The entry as JSON has it."""
        return dict(vars(self))  # asdict would copy each value of a hundred thousand entries


@dataclass(frozen=True)
class Order:
    """What to run. See the module's docstring; `schema` is implied."""

    key: str
    attempt: int
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    binds: tuple[str, ...]
    output_roots: tuple[str, ...]
    merged: bool
    time_limit_s: int
    live: tuple[str, ...]
    exports: Mapping[str, str]
    inputs: tuple[InputFile, ...]
    secret: str

    def __post_init__(self) -> None:
        try:
            self._check()
        except (FarError, BadFields) as error:
            raise OrderError(str(error)) from error

    def _check(self) -> None:
        paths.checked_key(self.key)
        for bind in self.binds:
            if not _TOP.fullmatch(bind) or _SYSTEM.fullmatch(bind):
                raise OrderError(f"{bind!r} cannot be bound into a container")
        for path in (self.cwd, *self.output_roots, *(entry.path for entry in self.inputs)):
            paths.split(path)
            if not paths.beneath(path, self.binds):
                raise OrderError(f"{path!r} lies under no bound directory")
        for pattern in self.live:
            paths.split("/" + pattern)
        if self.attempt < 1 or self.time_limit_s < 1:
            raise OrderError("attempt and time_limit_s count from 1")
        _check_environment(self.env, _NAME)
        _check_environment(self.exports, _EXPORT)
        if any("\0" in argument for argument in self.argv):
            raise OrderError("an argument with a NUL in it")
        if not _SECRET.fullmatch(self.secret):
            raise OrderError("secret is not at least 16 bytes in hex")

    def to_json(self) -> bytes:
        """The order as `parse` reads it."""
        inputs = [entry.to_dict() for entry in self.inputs]
        return canonical({"schema": SCHEMA, **vars(self), "inputs": inputs})

    @classmethod
    def parse(cls, document: bytes) -> Order:
        """Reads an order. Raises OrderError for anything unknown, missing or not allowed."""
        try:
            fields = Fields.parse(document, "order")
            order = cls._read(fields)
            fields.done()
        except (BadFields, FarError) as error:
            raise OrderError(str(error)) from error
        return order

    @classmethod
    def _read(cls, fields: Fields) -> Order:
        if fields.integer("schema") != SCHEMA:
            raise OrderError("an order of another schema")
        return cls(
            key=fields.text("key"),
            attempt=fields.integer("attempt"),
            argv=fields.texts("argv"),
            cwd=fields.text("cwd"),
            env=fields.text_map("env"),
            binds=fields.texts("binds"),
            output_roots=fields.texts("output_roots"),
            merged=fields.flag("merged"),
            time_limit_s=fields.integer("time_limit_s"),
            live=fields.texts("live"),
            exports=fields.text_map("exports"),
            inputs=tuple(
                InputFile.read(Fields(entry, "order.inputs")) for entry in fields.items("inputs")
            ),
            secret=fields.text("secret"),
        )


def _check_environment(variables: Mapping[str, str], allowed: re.Pattern[str]) -> None:
    for name, value in variables.items():
        if not allowed.fullmatch(name) or "\0" in value:
            raise OrderError(f"{name!r} cannot be set as an environment variable")
