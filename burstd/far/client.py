"""The on-prem side of the conversation with `serve`.

Requests are sent ahead of their answers (a bounded number), so that a long line costs its latency
once and not once a file. Memory stays bounded: files pass in pieces of one block.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Callable, Optional, Protocol, Union

from burstd.far import wire
from burstd.far.chunks import LEAST, compress, decompress
from burstd.far.errors import BROKEN, FarError, FarLost
from burstd.far.fields import Fields, canonical
from burstd.far.parts import WANTED, Part, Runs

if TYPE_CHECKING:
    from burstd.far.order import Order

Which = Union[str, Mapping[str, str]]

WORDS = 1024 * 1024  #: bytes of what is said of files
MOST_ANSWER = 512 * 1024 * 1024  #: bytes; an end record of a million results
MAX_GATHERED = 8 * 1024 * 1024  #: bytes of small files in one answer
#: Requests in flight: all their answers fit a pipe's buffer, or both ends would wait for each
#: other. The longest are those to `want`, a bit for each chunk; blocks that are read are fewer.
_AHEAD = 48
_LEFT = 8 * 1024 * 1024  #: bytes of a file in one answer that is left in the bucket


@dataclass(frozen=True)
class Hello:
    """Who is at the other end."""

    protocol: int
    program: Optional[str]
    free: int
    clones: bool = False  #: whether files that were built before are there again at once
    standing: bool = False  #: whether an earlier conversation of this burst has built any


class Pending:
    """An answer that is still to come."""

    def __init__(self, client: Client, most: int) -> None:
        """`most`: bytes of its payload; more are not taken."""
        self._client, self._most = client, most
        self._answer: Optional[tuple[Fields, bytes]] = None
        self._error: Optional[FarError] = None

    @property
    def known(self) -> bool:
        """Whether it has come, with others."""
        return self._answer is not None or self._error is not None

    def settle(self) -> None:
        """Reads it: it is the next on the line."""
        try:
            self._answer = self._client._receive(self._most)
        except FarError as error:
            self._error = error

    def result(self) -> tuple[Fields, bytes]:
        """Waits for it. Raises FarError if it is a refusal, FarLost where the line ends."""
        while not self.known:
            self._client._take()
        if self._answer is None:
            raise self._error or AssertionError
        return self._answer


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


@dataclass(frozen=True)
class Seen:
    """A file of the tree as it is now; two that are equal are the same bytes."""

    path: str
    size: int
    mtime_ns: int
    mode: int
    inode: int


class Replies(Protocol):
    """A bucket that long answers pass through."""

    def place(self) -> wire.Header:
        """Where the far end may leave one: the `reply` of a request."""

    def bring(self, name: str, size: int) -> bytes:
        """The payload that it has left there. Raises FarError."""


class Client:
    """Talks to one `serve`. Raises FarError for refusals and FarLost when the line ends."""

    def __init__(
        self,
        stdin: BinaryIO,
        stdout: BinaryIO,
        pace: Callable[[int], object] = int,
        replies: Optional[Replies] = None,
    ) -> None:
        """`stdin` and `stdout` are those of the far program: we write the one, read the other.
        `pace` is told of each payload's bytes before it goes, and once it has come."""
        self._to = stdin
        self._from = stdout
        self._pace = pace
        self._replies = replies
        self._waiting: deque[Pending] = deque()
        self._greeting: Optional[Pending] = None

    def hello(self, clones: bool = False) -> Hello:
        """Agrees on the protocol and makes the run directory. `clones`: asks for that."""
        header: wire.Header = {"op": "hello", "protocol": wire.PROTOCOL}
        answer = self._ask({**header, "clones": True} if clones else header)
        program = answer.text("program") if answer.has("program") else None
        can = answer.has("clones") and answer.flag("clones")
        free, stands = answer.integer("free"), answer.flag("standing")
        return Hello(answer.integer("protocol"), program, free, can, stands)

    def greet(self, first: bool = False) -> None:
        """The same without waiting: a refusal is raised where the first answer is waited for.
        `first`: earlier conversations of the burst are over, whether the far end knows or not."""
        header: wire.Header = {"op": "hello", "protocol": wire.PROTOCOL}
        self._greeting = self._post({**header, "first": True} if first else header)

    def unlock(self, key: bytes) -> Pending:
        """What passes through the bucket is sealed with this."""
        return self._post({"op": "unlock", "key": key.hex()})

    def want(self, wanted: Sequence[tuple[bytes, int]]) -> Pending:
        """Gives chunks (name, size) the next numbers. The answer: see `missing`."""
        return self._post({"op": "want"}, b"".join(WANTED.pack(*chunk) for chunk in wanted))

    def chunks(self, runs: Runs, content: bytes, plain: Optional[int]) -> Pending:
        """Sends a pack: chunks by their numbers, compressed where `plain` is their size before."""
        header: wire.Header = {"op": "chunks", "runs": [list(run) for run in runs]}
        if plain is not None:
            header["plain"] = plain
        return self._post(header, content)

    def chunks_via(self, runs: Runs, address: str, name: str) -> Pending:
        """The same with a pack that lies in the bucket."""
        via = {"address": address, "name": name}
        return self._post({"op": "chunks", "runs": [list(run) for run in runs], "via": via})

    def build(self, parts: Sequence[Part]) -> Pending:
        """Has parts of files written. The answer has `waiting` where some lack chunks that another
        conversation brings: see `rest`."""
        rows = ",".join([part.text() for part in parts])
        return self._listed("build", f"[{rows}]".encode())

    def rest(self) -> tuple[int, list[str]]:
        """Waits for those, some seconds. How many files lack something still, and those that must
        be sent again, as nobody brings it any more."""
        answer, content = self._post({"op": "rest"}, most=wire.MAX_FILES).result()
        try:
            gone = json.loads(content) if content else []
        except (ValueError, RecursionError) as error:
            raise FarError(BROKEN, "a list of files that is not JSON") from error
        if not (isinstance(gone, list) and all(isinstance(path, str) for path in gone)):
            raise FarError(BROKEN, "not a list of files")
        return answer.integer("left"), gone

    def clone(self, rows: Sequence[Sequence[object]]) -> Pending:
        """Has files made that were built before (`models.row`). The answer: see `missing`."""
        return self._listed("clone", canonical(list(rows)))

    def standing(self, rows: Sequence[Sequence[object]]) -> Pending:
        """Asks for files that were built for this burst before: path, size, digest, time and mode
        of each. The answer: see `missing`."""
        return self._listed("standing", canonical(list(rows)))

    def _listed(self, op: str, document: bytes) -> Pending:
        return self._post({"op": op, "plain": len(document)}, compress(document, 1))

    def mkdir(self, path: str, mode: int) -> Pending:
        """Makes a directory of the tree (for those that hold no file)."""
        return self._post({"op": "mkdir", "path": path, "mode": mode})

    def order(self, order: Order, script: bytes) -> None:
        """Hands over what to run. Replaces an order that has not started."""
        document = order.to_json()
        content = document + script
        header: wire.Header = {"op": "order", "order_size": len(document), "plain": len(content)}
        self._ask(header, compress(content, 1))

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
        asked = self._post(_read_request(which, offset, length), most=length)
        return _plain(*asked.result(), length)

    def read_into(self, which: Which, sink: BinaryIO, offset: int, length: int) -> int:
        """Copies a range to `sink`, several blocks in flight. Returns the bytes copied.

        Less than `length` means that the file ends there.
        """
        waiting: deque[tuple[int, Pending]] = deque()
        asked = copied = 0
        most = wire.BLOCK if self._replies is None else _LEFT
        while waiting or asked < length:
            while asked < length and len(waiting) < 8:
                block = min(most, length - asked)
                request = self._left(_read_request(which, offset + asked, block))
                pending = self._post(request, most=block)
                waiting.append((block, pending))
                asked += block
            wanted, pending = waiting.popleft()
            content = _plain(*pending.result(), wanted)
            sink.write(content)
            copied += len(content)
            if len(content) < wanted:
                break  # the others come to nothing; they are read with the next answers
        return copied

    def gather(self, paths: Sequence[str], most: int) -> Pending:
        """Asks for several files at once, at most so many bytes of them. The answer: `gathered`."""
        header: wire.Header = {"op": "gather", "paths": list(paths), "most": most}
        return self._post(self._left(header), most=min(most, MAX_GATHERED))

    def names(self, path: str, offset: int, length: int) -> Pending:
        """Asks how a file's bytes are cut now, as if they were a file. The answer: `chunks_of`."""
        header: wire.Header = {"op": "names", "path": path, "offset": offset, "length": length}
        return self._post(header, most=(length // LEAST + 2) * WANTED.size)

    def files(self, patterns: Sequence[str]) -> list[Seen]:
        """Regular files whose path below the job's directory matches a glob."""
        answer = self._ask({"op": "files", "patterns": list(patterns)})
        return [
            Seen(
                f.text("path"), f.integer("size"), f.integer("mtime_ns", -(2**63)),
                f.integer("mode"), f.integer("inode"),
            )
            for f in (Fields(entry, "files") for entry in answer.items("files"))
        ]  # fmt: skip

    def outputs(self) -> bytes:
        """The end record as written; check it with `EndRecord.unseal`. Raises
        FarError(never_started) where nothing ever ran."""
        return self._post({"op": "outputs"}, most=MOST_ANSWER).result()[1]

    def _left(self, header: wire.Header) -> wire.Header:
        """A request whose answer may be left in the bucket."""
        return header if self._replies is None else {**header, "reply": self._replies.place()}

    def _ask(self, header: wire.Header, payload: bytes = b"") -> Fields:
        return self._post(header, payload).result()[0]

    def _post(self, header: wire.Header, payload: bytes = b"", most: int = WORDS) -> Pending:
        """Send a request; its answer comes in its turn."""
        while len(self._waiting) >= _AHEAD:
            self._take()
        if payload:
            self._pace(len(payload))
        wire.send(self._to, header, payload)
        pending = Pending(self, most)
        self._waiting.append(pending)
        return pending

    def _take(self) -> None:
        """Read the next answer."""
        try:
            self._to.flush()
        except BrokenPipeError as error:
            raise FarLost("the other end has closed the line") from error
        pending = self._waiting.popleft()
        pending.settle()
        if pending is self._greeting:
            pending.result()

    def _receive(self, most: int) -> tuple[Fields, bytes]:
        header = wire.receive(self._from)
        if header is None:
            raise FarLost("the other end has closed the line")
        size = wire.payload_size(header)
        if size > most:
            raise FarError(BROKEN, f"an answer of {size} bytes")
        content = wire.read_exactly(self._from, size)
        if content:
            self._pace(len(content))
        if "error" in header:
            raise FarError(str(header["error"]), str(header.get("message", "")))
        answer = Fields(header, "answer")
        if self._replies is not None and answer.has("via"):
            via = Fields(answer.raw("via"), "via")
            size = via.integer("size")
            if size > most:
                raise FarError(BROKEN, f"an answer of {size} bytes")
            content = self._replies.bring(via.text("name"), size)
        return answer, content


def missing(bits: bytes, count: int) -> list[int]:
    """Which of so many chunks, by the answer to `want`. Raises FarError(broken)."""
    if len(bits) != (count + 7) // 8:
        raise FarError(BROKEN, "an answer of the wrong length")
    return [number for number in range(count) if bits[number // 8] >> number % 8 & 1]


def chunks_of(pending: Pending) -> list[tuple[bytes, int]]:
    """Names and sizes, by the answer to `names`. Raises FarError(broken), and as `result` does."""
    content = pending.result()[1]
    if len(content) % WANTED.size:
        raise FarError(BROKEN, "names of chunks that are cut off")
    return list(WANTED.iter_unpack(content))


def gathered(pending: Pending, count: int) -> list[Optional[bytes]]:
    """The files' bytes, by the answer to `gather`; None for one that must be read alone. Raises
    FarError(broken), and as `result` does."""
    answer, content = pending.result()
    sizes = [size if type(size) is int else -1 for size in answer.items("sizes")]
    total = sum(size for size in sizes if size > 0)
    plain = memoryview(_plain(answer, content, MAX_GATHERED))
    if len(sizes) != count or total != len(plain):
        raise FarError(BROKEN, "an answer of other sizes than its bytes")
    found: list[Optional[bytes]] = []
    for size in sizes:
        found.append(bytes(plain[:size]) if size >= 0 else None)
        plain = plain[max(0, size) :]
    return found


def _plain(answer: Fields, content: bytes, most: int) -> bytes:
    """What was read; it may have travelled compressed. Raises FarError(broken)."""
    if not answer.has("plain"):
        if len(content) > most:
            raise FarError(BROKEN, f"{len(content)} bytes where {most} were asked for")
        return content
    size = answer.integer("plain")
    if size > most:
        raise FarError(BROKEN, f"{size} bytes where {most} were asked for")
    return bytes(decompress(content, size))


def _read_request(which: Which, offset: int, length: int) -> wire.Header:
    return {"op": "read", "which": which, "offset": offset, "length": length}
