"""The end record: what the runner swears about one attempt, and how the other end checks it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import asdict, dataclass
from typing import Optional, Union

from burstd.far.fields import BadFields, Fields, canonical

SCHEMA = 2

EXITED = "exited"
SIGNALLED = "signalled"
TIMEOUT = "timeout"
CANCELLED = "cancelled"
FAILED_TO_START = "failed_to_start"
KILLED = "killed"
REASONS = (EXITED, SIGNALLED, TIMEOUT, CANCELLED, FAILED_TO_START, KILLED)

#: What stands before the record in end.json.
_HEAD = re.compile(rb'\{"hmac":"([0-9a-f]{64})","record":')
UNREADABLE = "unreadable"
KINDS = ("file", "dir", "symlink", "fifo", "socket", "device", "deep", UNREADABLE)


class EndForged(ValueError):
    """An end record that the runner of this burst did not write, or not so."""


@dataclass(frozen=True)
class Output:
    """Something that the job made. Only a file has a digest. The target of a link is its text, that
    of a file an earlier one of the list that it is another name of. Of what can't be read, or
    listed, nothing is known but why: that is its target."""

    path: str
    kind: str
    size: int
    mode: int
    mtime_ns: int
    blake3: Optional[str] = None
    target: Optional[str] = None

    @classmethod
    def read(cls, fields: Fields) -> Output:
        """Reads one entry. Raises BadFields."""
        output = cls(
            path=fields.text("path"),
            kind=fields.text("kind"),
            size=fields.integer("size"),
            mode=fields.integer("mode"),
            mtime_ns=fields.integer("mtime_ns", least=-(2**63)),
            blake3=fields.optional_text("blake3"),
            target=fields.optional_text("target"),
        )
        fields.done()
        if output.kind not in KINDS:
            raise BadFields(f"an output of kind {output.kind!r}")
        return output


@dataclass(frozen=True)
class StreamDigest:
    """Size and BLAKE3 of stdout or stderr."""

    size: int
    blake3: str


@dataclass(frozen=True)
class EndRecord:
    """How an attempt ended. `exit_code` is what the runner itself exits with."""

    key: str
    attempt: int
    exit_code: int
    signal: Optional[int]
    reason: str
    message: str
    started: str
    ended: str
    elapsed_s: float
    user_s: float
    system_s: float
    max_rss_kib: int
    hosts: tuple[str, ...]
    runtime: str
    runtime_version: str
    outputs: tuple[Output, ...]
    outside: tuple[str, ...]
    deleted: tuple[str, ...]
    stdout: Optional[StreamDigest]
    stderr: Optional[StreamDigest]

    def seal(self, secret: str) -> bytes:
        """The record as it lies in end.json: canonical JSON and its HMAC-SHA256."""
        record = canonical({"schema": SCHEMA, **asdict(self)})
        return b'{"hmac":"%s","record":%s}\n' % (_hmac(record, secret).encode(), record)

    @classmethod
    def unseal(cls, document: bytes, secret: str, key: str) -> EndRecord:
        """Reads and checks end.json. Raises EndForged."""
        try:
            fields = Fields.parse(_proven(document, secret), "end record")
            end = cls._read(fields)
            fields.done()
        except (BadFields, TypeError) as error:
            raise EndForged(str(error)) from error
        if end.key != key:
            raise EndForged(f"the end record belongs to {end.key!r}")
        return end

    @classmethod
    def _read(cls, fields: Fields) -> EndRecord:
        if fields.integer("schema") != SCHEMA:
            raise BadFields("an end record of another schema")
        if fields.text("reason") not in REASONS:
            raise BadFields("an end record without a known reason")
        return cls(
            key=fields.text("key"),
            attempt=fields.integer("attempt"),
            exit_code=fields.integer("exit_code"),
            signal=fields.optional_integer("signal"),
            reason=fields.text("reason"),
            message=fields.text("message"),
            started=fields.text("started"),
            ended=fields.text("ended"),
            elapsed_s=fields.real("elapsed_s"),
            user_s=fields.real("user_s"),
            system_s=fields.real("system_s"),
            max_rss_kib=fields.integer("max_rss_kib"),
            hosts=fields.texts("hosts"),
            runtime=fields.text("runtime"),
            runtime_version=fields.text("runtime_version"),
            outputs=tuple(Output.read(Fields(o, "output")) for o in fields.items("outputs")),
            outside=fields.texts("outside"),
            deleted=fields.texts("deleted"),
            stdout=_stream(fields.raw("stdout")),
            stderr=_stream(fields.raw("stderr")),
        )


def summary(document: bytes) -> dict[str, object]:
    """The short facts of an end.json, unchecked: enough to see that and how it ended."""
    record = Fields.parse(document, "end record").raw("record")
    names = ("attempt", "exit_code", "signal", "reason", "message", "started", "ended")
    return {name: record.get(name) for name in names} if isinstance(record, dict) else {}


def _stream(value: object) -> Optional[StreamDigest]:
    if value is None:
        return None
    fields = Fields(value, "stream")
    return StreamDigest(size=fields.integer("size"), blake3=fields.text("blake3"))


def _proven(document: bytes, secret: str) -> bytes:
    """The record as it was written, once its HMAC is right: what nobody has sworn to is not taken
    apart, as that may need any amount of memory. Raises EndForged."""
    head, end = _HEAD.match(document), len(document) - document.endswith(b"\n") - 1
    if head is None or document[end : end + 1] != b"}":
        raise EndForged("not an end record")
    record = memoryview(document)[head.end() : end]
    if not hmac.compare_digest(head[1].decode(), _hmac(record, secret)):
        raise EndForged("the end record's HMAC is wrong")
    return bytes(record)


def _hmac(record: Union[bytes, memoryview], secret: str) -> str:
    return hmac.new(bytes.fromhex(secret), record, hashlib.sha256).hexdigest()
