"""The verb `serve`: one conversation with the on-prem agent over stdin and stdout."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Callable, NamedTuple, Optional

from burstd.far import paths, rundir, standing, wire
from burstd.far.errors import REFUSED, FarError, FarLost, answered, from_os
from burstd.far.fence import Fence
from burstd.far.fields import BadFields, Fields, canonical
from burstd.far.payloads import unpacked
from burstd.far.program import program_digest
from burstd.far.view import Answer, View
from burstd.far.wire import MAX_FILES, MAX_PACK

# A conversation begins every few seconds for each burst that runs, and mostly asks for little: what
# inputs, results or a bucket need is imported once there are any.
if TYPE_CHECKING:
    from burstd.far.passage import Passage
    from burstd.far.staging import Staging

WORTH_LEAVING = 64 * 1024  # bytes of an answer; with fewer it comes over the line
BLOCK, BLOCKS = 64 * 1024, 512 * 1024  # bytes of a pack taken at once; if so many have come
MAX_ORDER = 512 * 1024 * 1024
REST = 10.0  #: seconds until it is said that others have not brought all yet
#: Seconds. A network that is cut tells nobody: sshd would keep this end of the line for hours.
SILENCE = 120
SLOWEST = 64 * 1024  #: bytes a second that the line carries at least while we write


class Limits(NamedTuple):
    """`silence`: seconds until a line has ended that says nothing; of a store the bytes, and the
    days since a pack's last use, and whether it is a group's."""

    silence: int = SILENCE
    store_bytes: int = 200 * 2**30
    store_days: int = 30
    store_shared: bool = False


class Session:
    """Answers requests in their order until the line ends, or is silent for too long. The key is
    fixed by the caller."""

    def __init__(
        self, root: str, key: str, stdin: BinaryIO, stdout: BinaryIO, limits: Limits
    ) -> None:
        self._root = root
        self._key = paths.checked_key(key)
        self._in = stdin
        self._out = stdout
        self._silence, self._limits = limits.silence, limits
        self._idle, self._since = 0.0, time.monotonic()  # seconds without a word, since when
        self._left = 0  # bytes of the current payload that nobody has read yet
        self._opened: Optional[rundir.RunDir] = None
        self._staged: Optional[Staging] = None
        self._opened_passage: Optional[Passage] = None
        self._first = False
        self._fence: Optional[Fence] = None
        self._ops: dict[str, Callable[[Fields], Answer]] = {
            "hello": self._hello,
            "unlock": self._unlock,
            "want": self._want,
            "chunks": self._chunks,
            "build": self._build,
            "rest": self._rest,
            "clone": self._clone,
            "standing": self._standing,
            "mkdir": self._mkdir,
            "order": self._order,
        }
        self._views = View(self._run).answers

    def serve(self) -> None:
        """Runs the conversation. Raises FarLost if it ends inside a frame."""
        try:
            self._serve()
        finally:
            if self._opened_passage is not None:
                self._opened_passage.close()
            if self._staged is not None:
                self._staged.close(self._limits.store_bytes, self._limits.store_days)

    def _serve(self) -> None:
        while True:
            with _at_most(self._silence), self._waiting():
                header = wire.receive(self._in)
            if header is None:
                return
            self._left = wire.payload_size(header)
            answer, payload = self._answer(header)
            # Drained before the answer: a client that has sent all can read without a deadlock.
            for _ in self._blocks():
                pass
            with _at_most(self._silence + len(payload) // SLOWEST):
                self._send(answer, payload)
                self._out.flush()

    def _send(self, answer: wire.Header, payload: bytes) -> None:
        try:
            wire.send(self._out, answer, payload)
        except FarError as error:  # nothing was said yet: it fits no frame
            wire.send(self._out, *_refusal(FarError(REFUSED, error.message)))

    def _answer(self, header: wire.Header) -> Answer:
        try:
            op = str(header.get("op"))
            fields = Fields(header, op)
            answer, payload = self._done(fields, op)
            if fields.has("reply") and len(payload) >= WORTH_LEAVING:
                reply = Fields(fields.raw("reply"), "reply")
                answer, payload = {**answer, **self._passage.leave(reply, payload)}, b""
        except FarError as error:
            return _refusal(error)
        except BadFields as error:
            return _refusal(FarError(REFUSED, str(error)))
        except OSError as error:
            return _refusal(from_os(error))
        return {"ok": True, **answer}, payload

    def _done(self, fields: Fields, op: str) -> Answer:
        if op in self._views:
            return self._views[op](fields)
        if op not in self._ops:
            raise FarError(REFUSED, f"no such request: {op!r}")
        with answered():
            return self._ops[op](fields)

    def _blocks(self, size: int = wire.BLOCK, most: int = wire.BLOCK) -> Iterator[bytes]:
        while self._left:
            many = max(size, wire.come(self._in, most))
            with _at_most(self._silence), self._waiting():
                block = wire.read_exactly(self._in, min(self._left, many))
            self._left -= len(block)
            yield block

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """What is read takes its time too: that is work."""
        began, worked = time.monotonic(), time.thread_time()
        yield
        self._idle += time.monotonic() - began - (time.thread_time() - worked)

    def _spent(self) -> wire.Header:
        """Microseconds since this was last asked for: who waits for whom?"""
        now, idle = time.monotonic(), max(0.0, self._idle)
        busy = max(0.0, now - self._since - idle)
        self._idle, self._since = 0.0, now
        return {"idle": int(idle * 1e6), "busy": int(busy * 1e6)}

    def _payload(self, limit: int) -> bytes:
        if self._left > limit:
            raise FarError(REFUSED, f"a payload of {self._left} bytes")
        return b"".join(self._blocks())

    def _run(self) -> rundir.RunDir:
        if self._opened is None:
            self._opened = rundir.RunDir.open(self._root, self._key)
        return self._opened

    @property
    def _passage(self) -> Passage:
        if self._opened_passage is None:
            from burstd.far.passage import Passage

            self._opened_passage = Passage()
        return self._opened_passage

    def _joined(self) -> Fence:
        if self._fence is None:
            self._fence = Fence(self._run(), self._first)
        return self._fence

    def _staging(self) -> Staging:
        fence = self._joined()
        fence.check()
        if self._staged is None:
            from burstd.far.staging import Staging
            from burstd.far.store import Store

            keeps = self._limits.store_bytes > 0
            store = Store.at(self._root, self._key, self._limits.store_shared)
            claims = store.claims(keeps, self._first)
            self._staged = Staging(self._run(), fence, store, claims, keeps)
        return self._staged

    def _hello(self, fields: Fields) -> Answer:
        if fields.integer("protocol") != wire.PROTOCOL:
            raise FarError(REFUSED, f"this end speaks protocol {wire.PROTOCOL}")
        self._first = fields.has("first") or self._first
        self._opened = rundir.RunDir.open(self._root, self._key, create=True)
        self._opened.tidy()
        self._joined()
        room = os.fstatvfs(self._opened.fd)
        free = room.f_bavail * room.f_frsize
        program = program_digest()
        answer: wire.Header = {"protocol": wire.PROTOCOL, "program": program, "free": free}
        answer["standing"] = standing.any_in(self._opened)
        if fields.has("clones"):
            answer["clones"] = self._staging().clones
        return answer, b""

    def _want(self, _: Fields) -> Answer:
        return {}, self._staging().incoming.want(self._payload(MAX_PACK))

    def _unlock(self, fields: Fields) -> Answer:
        self._passage.unlock(fields.text("key"))
        return {}, b""

    def _chunks(self, fields: Fields) -> Answer:
        from burstd.far.parts import runs_of

        if fields.has("via"):
            plain, content = self._passage.bring(Fields(fields.raw("via"), "via"), MAX_PACK)
            self._staging().incoming.take(runs_of(fields, "runs"), [bytes(content)], plain)
            return {}, b""
        if self._left > MAX_PACK or (fields.has("plain") and fields.integer("plain") > MAX_PACK):
            raise FarError(REFUSED, "a pack that is too large")
        plain = fields.integer("plain") if fields.has("plain") else None
        # A cut costs the block that it falls in.
        self._staging().incoming.take(runs_of(fields, "runs"), self._blocks(BLOCK, BLOCKS), plain)
        return self._spent(), b""

    def _build(self, fields: Fields) -> Answer:
        staging, document = self._staging(), self._payload(MAX_FILES)
        waiting = staging.build(bytes(unpacked(fields, document, MAX_FILES)))
        return {"waiting": waiting} if waiting else {}, b""

    def _rest(self, _: Fields) -> Answer:
        left, gone = self._staging().rest(REST)
        return {"left": left}, canonical(gone) if gone else b""

    def _clone(self, fields: Fields) -> Answer:
        document = self._payload(MAX_FILES)
        return {}, self._staging().clone(bytes(unpacked(fields, document, MAX_FILES)))

    def _standing(self, fields: Fields) -> Answer:
        document = self._payload(MAX_FILES)
        return {}, self._staging().standing(bytes(unpacked(fields, document, MAX_FILES)))

    def _mkdir(self, fields: Fields) -> Answer:
        self._staging().mkdir(fields.text("path"), fields.integer("mode"))
        return {}, b""

    def _order(self, fields: Fields) -> Answer:
        from burstd.far.order import Order

        run = self._run()
        content = bytes(unpacked(fields, self._payload(MAX_ORDER), MAX_ORDER))
        length = fields.integer("order_size")
        order = Order.parse(content[:length])
        if order.key != self._key:
            raise FarError(REFUSED, "an order for another burst")
        if order.attempt <= run.last_start():
            raise FarError(REFUSED, f"attempt {order.attempt} has started already")
        if run.busy():
            raise FarError(REFUSED, "an earlier attempt is still running")
        if not run.last_start():
            self._staging().settle(order)  # what is ordered must outlive the machine
        run.write(rundir.SCRIPT, content[length:], mode=0o700)
        # Its own small file: `status` must not read a manifest of a million files each time.
        run.write(rundir.LIVE, canonical({"cwd": order.cwd, "live": list(order.live)}))
        run.write(rundir.ORDER, content[:length])
        return {}, b""


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """SIGALRM ends the process if the line takes longer: what was received is kept by name and
    length, and the next conversation goes on from there."""
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def serve(root: str, key: str, stdin: BinaryIO, stdout: BinaryIO, limits: Limits) -> int:
    """The verb: 0 after a clean end of the line, 1 if it broke."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # A tree may be built of as many packs as there were conversations.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        Session(root, key, stdin, stdout, limits).serve()
    except FarLost:
        return 1
    except FarError as error:
        wire.send(stdout, {"error": error.code, "message": error.message})
        stdout.flush()
        return 1
    except BrokenPipeError:
        return 1
    return 0


def _refusal(error: FarError) -> Answer:
    # Short: the answers to all requests in flight must fit a pipe, whatever names are in them.
    return {"error": error.code, "message": error.message[:120]}, b""
