"""The on-prem side of the conversation with `serve`.

Requests are sent ahead of their answers (a bounded number), so that a long line costs its latency
once and not once a file. Memory stays bounded: files pass in pieces of one block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Callable, Optional, Union

from burstd.far import wire
from burstd.far.errors import BROKEN, MISMATCH, FarError, FarLost
from burstd.far.fields import Fields
from burstd.far.order import InputFile, Order

Which = Union[str, Mapping[str, str]]

_AHEAD = 64  # requests in flight: their answers (about 100 bytes) always fit a pipe's buffer
_BATCH = 5000  # entries of a manifest in one header


@dataclass(frozen=True)
class Hello:
    """Who is at the other end."""

    protocol: int
    program: Optional[str]
    free: int


@dataclass(frozen=True)
class Held:
    """What the far end has of a file: so many bytes to resume from, or all of it, verified."""

    size: int
    whole: bool


@dataclass(frozen=True)
class Upload:
    """A file to send, from `offset` on. `open` gives a stream at the file's start."""

    entry: InputFile
    open: Callable[[], BinaryIO]
    offset: int = 0


@dataclass(frozen=True)
class LiveFile:
    """A file that is being written."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Status:
    """The far end's view of a burst. `started` is the highest attempt started, 0 if none.

    `status` (the runner's heartbeat) and `end` (a summary without proof: use `outputs`) are as
    written there.
    """

    started: int
    busy: bool
    status: Optional[Mapping[str, object]]
    end: Optional[Mapping[str, object]]
    stdout: Optional[int]
    stderr: Optional[int]
    live: tuple[LiveFile, ...]


class Client:
    """Talks to one `serve`. Raises FarError for refusals and FarLost when the line ends."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        """`stdin` and `stdout` are those of the far program: we write the one, read the other."""
        self._to = stdin
        self._from = stdout

    def hello(self) -> Hello:
        """Agrees on the protocol and makes the run directory."""
        answer = self._ask({"op": "hello", "protocol": wire.PROTOCOL})
        program = answer.text("program") if answer.has("program") else None
        return Hello(answer.integer("protocol"), program, answer.integer("free"))

    def have(self, entries: Sequence[InputFile]) -> list[Held]:
        """What is held of each file, in the same order."""
        held: list[Held] = []
        for batch in _batches(entries):
            answer = self._ask({"op": "have", "entries": [e.to_dict() for e in batch]})
            sizes, wholes = answer.items("held"), answer.items("whole")
            if not len(sizes) == len(wholes) == len(batch):
                raise FarError(BROKEN, "an answer of the wrong length")
            held += [
                Held(int(str(size)), whole is True)
                for size, whole in zip(sizes, wholes)  # noqa: B905 (Python 3.9)
            ]
        return held

    def put(self, entry: InputFile, source: BinaryIO, offset: int = 0) -> None:
        """Sends one file. Raises FarError(full | mismatch | refused ...)."""
        for _, error in self.put_all([Upload(entry, lambda: source, offset)]):
            if error is not None:
                raise error

    def put_all(self, uploads: Iterable[Upload]) -> Iterator[tuple[InputFile, Optional[FarError]]]:
        """Sends files one after the other and yields each with its error, if it has one.

        An error of one file does not stop the others.
        """
        flight = _Flight(self)
        for upload in uploads:
            flight.begin(upload.entry)
            try:
                for offset, piece in _pieces(upload):
                    if flight.failed(upload.entry):
                        break
                    header = {"op": "put", "file": upload.entry.to_dict(), "offset": offset}
                    flight.send(upload.entry, header, piece)
            except FarError as error:
                flight.fail(upload.entry, error)
            flight.finish(upload.entry)
            yield from flight.landed()
        flight.drain()
        yield from flight.landed()

    def mkdir(self, path: str, mode: int) -> None:
        """Makes a directory of the tree (for those that hold no file)."""
        self._ask({"op": "mkdir", "path": path, "mode": mode})

    def order(self, order: Order, script: bytes) -> None:
        """Hands over what to run. Replaces an order that has not started."""
        document = order.to_json()
        header: wire.Header = {"op": "order", "order_size": len(document)}
        self._ask(header, document + script)

    def verify(self, entries: Sequence[InputFile]) -> tuple[str, ...]:
        """The paths of a manifest that are not there with their size and digest."""
        bad: list[str] = []
        for batch in _batches(entries):
            answer = self._ask({"op": "verify", "entries": [e.to_dict() for e in batch]})
            bad += answer.texts("bad")
        return tuple(bad)

    def status(self) -> Status:
        """How far the burst is. Costs no reading of large files until it has ended."""
        answer = self._ask({"op": "status"})
        live = (Fields(entry, "live") for entry in answer.items("live"))
        return Status(
            started=answer.integer("started"),
            busy=answer.flag("busy"),
            status=answer.raw("status"),
            end=answer.raw("end"),
            stdout=answer.optional_integer("stdout"),
            stderr=answer.optional_integer("stderr"),
            live=tuple(
                LiveFile(f.text("path"), f.integer("size"), f.integer("mtime_ns", -(2**63)))
                for f in live
            ),
        )

    def read(self, which: Which, offset: int, length: int) -> bytes:
        """Bytes of "stdout", "stderr" or {"path": ...}; fewer than asked only at the end."""
        self._send(_read_request(which, offset, length))
        return self._receive()[1]

    def read_into(self, which: Which, sink: BinaryIO, offset: int, length: int) -> int:
        """Copies a range to `sink`, several blocks in flight. Returns the bytes copied.

        Less than `length` means that the file ends there.
        """
        waiting: deque[int] = deque()
        asked = copied = 0
        short = False
        while waiting or (asked < length and not short):
            while asked < length and len(waiting) < 8 and not short:
                block = min(wire.BLOCK, length - asked)
                self._send(_read_request(which, offset + asked, block), flush=False)
                waiting.append(block)
                asked += block
            self._flush()
            wanted = waiting.popleft()
            content = self._drained_receive(waiting)
            if not short:
                sink.write(content)
                copied += len(content)
            short = short or len(content) < wanted
        return copied

    def outputs(self) -> bytes:
        """The end record as written; check it with `EndRecord.unseal`. FarError(missing) before."""
        self._send({"op": "outputs"})
        return self._receive()[1]

    def _drained_receive(self, waiting: deque[int]) -> bytes:
        try:
            return self._receive()[1]
        except FarError:
            while waiting:  # the other blocks will say the same: keep the line in step
                waiting.popleft()
                self._skip()
            raise

    def _skip(self) -> None:
        try:
            self._receive()
        except FarError:
            return

    def _ask(self, header: wire.Header, payload: bytes = b"") -> Fields:
        self._send(header, payload)
        return self._receive()[0]

    def _send(self, header: wire.Header, payload: bytes = b"", flush: bool = True) -> None:
        wire.send(self._to, header, payload)
        if flush:
            self._flush()

    def _flush(self) -> None:
        try:
            self._to.flush()
        except BrokenPipeError as error:
            raise FarLost("the other end has closed the line") from error

    def _receive(self) -> tuple[Fields, bytes]:
        header = wire.receive(self._from)
        if header is None:
            raise FarLost("the other end has closed the line")
        content = wire.read_exactly(self._from, wire.payload_size(header))
        if "error" in header:
            raise FarError(str(header["error"]), str(header.get("message", "")))
        return Fields(header, "answer"), content


class _Flight:
    """The puts whose answers are still to come."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: deque[InputFile] = deque()
        self._open: dict[InputFile, int] = {}
        self._sent: set[InputFile] = set()
        self._errors: dict[InputFile, FarError] = {}

    def begin(self, entry: InputFile) -> None:
        self._open[entry] = 0

    def failed(self, entry: InputFile) -> bool:
        return entry in self._errors

    def fail(self, entry: InputFile, error: FarError) -> None:
        self._errors.setdefault(entry, error)  # later pieces only say that the first is missing

    def send(self, entry: InputFile, header: wire.Header, piece: bytes) -> None:
        while len(self._waiting) >= _AHEAD:
            self._take()
        self._client._send(header, piece, flush=False)
        self._waiting.append(entry)
        self._open[entry] += 1

    def finish(self, entry: InputFile) -> None:
        self._sent.add(entry)

    def drain(self) -> None:
        while self._waiting:
            self._take()

    def _take(self) -> None:
        self._client._flush()
        entry = self._waiting.popleft()
        try:
            self._client._receive()
        except FarError as error:
            self.fail(entry, error)
        self._open[entry] -= 1

    def landed(self) -> Iterator[tuple[InputFile, Optional[FarError]]]:
        for entry in [e for e in self._sent if not self._open[e]]:
            self._sent.discard(entry)
            del self._open[entry]
            yield entry, self._errors.pop(entry, None)


def _pieces(upload: Upload) -> Iterator[tuple[int, bytes]]:
    entry, offset = upload.entry, upload.offset
    if offset >= entry.size:  # all bytes are there but not landed, or the file is empty
        yield entry.size, b""
        return
    with upload.open() as stream:
        stream.seek(offset)
        while offset < entry.size:
            piece = stream.read(min(wire.BLOCK, entry.size - offset))
            if not piece:
                raise FarError(MISMATCH, f"shorter than announced: {entry.path!r}")
            yield offset, piece
            offset += len(piece)


def _batches(entries: Sequence[InputFile]) -> Iterator[Sequence[InputFile]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]


def _read_request(which: Which, offset: int, length: int) -> wire.Header:
    return {"op": "read", "which": which, "offset": offset, "length": length}
