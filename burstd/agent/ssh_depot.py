"""Port ``Depot`` over SSH: the far program's ``serve``, reached with a ticket of burstd's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from burstd.agent.ahead import Ahead
from burstd.agent.api import Api, Away, Denied
from burstd.agent.pace import Pace
from burstd.domain.data import MOST, InputFile, OutputFile
from burstd.far.client import Client
from burstd.far.errors import (
    BROKEN,
    BUSY,
    FULL,
    MISMATCH,
    MISSING,
    NEVER_STARTED,
    BucketError,
    FarError,
    FarLost,
)
from burstd.ports.depot import Came, Depot, Ended, Execution, Going, Growing, Seen
from burstd.ports.errors import Mismatch, NoRoom, PortError, Rejected, Unreachable

# Most depots are opened for one look at a job that runs: what moves files is imported with them.
if TYPE_CHECKING:
    from burstd.agent.passage import Addresses, Passage
    from burstd.far.order import InputFile as Entry

WORD_EVERY, WORD_WAITS = 30.0, 5.0  #: seconds
#: No program of the user's runs on a proxy node, whatever is in the job's PATH.
_OURS = {"PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class SshTicket:
    """The fields of a ticket of kind ``ssh``."""

    host: str
    port: str
    user: str
    known_hosts: str
    certificate: str


class SshLine:
    """One ssh process; the far program serves one run directory and nothing else."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        pace: Pace,
        passage: Passage | None = None,
        first: bool = False,
    ) -> None:
        """``first``: of the agent's, so that what an earlier agent has begun is over."""
        if process.stdin is None or process.stdout is None:
            raise Unreachable("ssh without pipes")
        self._process = process
        pipes = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
        self.client, self.passage = Client(*pipes, pace, passage), passage
        self.client.greet(first)  # inputs are read while the way is opened
        if passage is not None:
            self.client.unlock(passage.key)

    def end(self) -> None:
        """At once: who writes to it hears of it."""
        self._process.kill()

    def close(self) -> None:
        """Ends it; again is well."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class SshDepot:
    """``another`` opens one more line to the same run directory. Whether there is a way at all
    shows with the first question. For threads: one after the other speaks."""

    def __init__(self, line: SshLine, key: str, another: Callable[[], SshLine]) -> None:
        self._line, self._key, self._another = line, key, another
        self._client = line.client
        self._ahead = Ahead(self._client)
        self._lock, self._over = threading.RLock(), threading.Event()
        self._alive = threading.Thread(target=self._say_so, daemon=True)
        self._alive.start()

    def _say_so(self) -> None:
        """The far end takes two minutes' silence for a cut; the digest of a large result that has
        landed takes longer."""
        while not self._over.wait(WORD_EVERY):
            with contextlib.suppress(PortError), self._translated():
                if not self._over.is_set():
                    self._client.hello()

    def push(self, paths: Iterable[str], going: Going) -> list[InputFile]:
        from burstd.agent import streams
        from burstd.agent.facts import sizes

        files = list(paths)
        size = sum(sizes(files))
        going.begin(size)
        with self._translated(missing=Unreachable):
            if size < streams.WORTH:
                return self._send(files, 1, going)
            greeting = self._client.hello(clones=True)  # the first one waits for the way
            made: list[InputFile] = []
            if greeting.clones:
                made, files = self._cloned(files)
                there = sum(file.size for file in made)
                going.add(there)
                size -= there
            # Into a bucket several packs go at once, over one line.
            alone = self._line.passage is not None
            lines = 1 if alone else streams.wanted(self._round_trip(), size)
            return sorted([*made, *self._send(files, lines, going)], key=lambda file: file.path)

    def _send(self, files: list[str], lines: int, going: Going) -> list[InputFile]:
        from burstd.agent import streams

        piles = streams.dealt(files, lines) if lines > 1 else [files]
        return streams.Streams(self._line, self._another, going).push(piles)

    def _cloned(self, files: list[str]) -> tuple[list[InputFile], list[str]]:
        from burstd.agent.clones import cloned
        from burstd.agent.index import Index

        index = Index.own()
        try:
            return cloned(self._client, index, files)
        finally:
            index.close()

    def _round_trip(self) -> float:
        began = time.monotonic()
        self._client.hello()
        return time.monotonic() - began

    def order(self, execution: Execution, files: Sequence[InputFile], script: bytes) -> None:
        from burstd.far import order as far_order

        paths = (execution.directory, *execution.roots, *(file.path for file in files))
        try:
            order = far_order.Order(
                key=self._key,
                attempt=1,
                argv=execution.arguments,
                cwd=execution.directory,
                env=execution.environment,
                binds=tuple(sorted({"/" + path.split("/", 2)[1] for path in paths})),
                output_roots=execution.roots,
                merged=execution.merged,
                time_limit_s=max(1, int(execution.time_limit_s)),
                live=execution.live,
                exports=execution.exports,
                inputs=tuple(_entry(file) for file in files),
                secret=execution.secret,
            )
        except far_order.OrderError as error:
            raise Rejected(str(error)) from error
        with self._translated(missing=Unreachable):
            made = [self._client.mkdir(root, 0o755) for root in execution.roots]
            made += [self._client.mkdir(path, mode) for path, mode in execution.directories]
            for pending in made:
                pending.result()
            self._client.order(order, script)

    def growing(self) -> Growing:
        with self._translated():
            seen = self._client.status()
        files = {live.path: live.size for live in seen.live}
        changed = {live.path: live.mtime_ns for live in seen.live}
        return Growing(seen.stdout or 0, seen.stderr or 0, files, seen.end is not None, changed)

    def read(self, what: str, offset: int, length: int) -> bytes:
        which = what if what in {"stdout", "stderr"} else {"path": what}
        with self._translated():
            return self._client.read(which, offset, length)

    def begins_with(self, path: str, mine: int) -> bool:
        from burstd.agent.pull import alike

        size = os.fstat(mine).st_size
        with self._translated():
            return alike(self._client, path, mine, size, size) == size

    def matching(self, patterns: Sequence[str]) -> list[Seen]:
        with self._translated():
            return [Seen(**vars(found)) for found in self._client.files(patterns)]

    def outputs(self, secret: str) -> Ended:
        from burstd.far.endrecord import EXITED, EndForged, EndRecord

        with self._translated(missing=Unreachable):
            try:
                document = self._client.outputs()
            except FarError as error:
                if error.code == NEVER_STARTED:
                    return Ended()
                raise
        try:
            end = EndRecord.unseal(document, secret, self._key)
        except EndForged as error:
            raise Mismatch(str(error)) from error
        results = [
            OutputFile(
                o.path, o.kind, min(o.size, MOST), o.blake3 or "",
                max(-MOST, min(o.mtime_ns, MOST)), o.mode, o.target or "",
            )
            for o in end.outputs
        ]  # fmt: skip
        code = end.exit_code if end.reason == EXITED else None
        return Ended(results, end.outside, frozenset(end.deleted), code)

    def expect(self, entries: Sequence[OutputFile]) -> None:
        with self._translated():
            self._ahead.expect(entries)

    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None:
        from burstd.agent.pull import Pull

        with self._translated():
            pull = Pull(self._client, entry.path, entry.size, into, came)
            try:
                content = self._ahead.take(entry.path)
                if content is None:
                    pull.fetch(similar)
                else:
                    pull.put(content)
            except FarError as error:
                if error.code == MISSING:
                    raise Mismatch(f"{entry.path} is gone at the far end") from error
                raise

    def close(self) -> None:
        self._over.set()
        self._alive.join(WORD_WAITS)
        if self._alive.is_alive():
            self._line.end()
        self._line.close()
        self._alive.join()
        if self._line.passage is not None:
            self._line.passage.close()

    @contextmanager
    def _translated(self, missing: type[PortError] = Rejected) -> Iterator[None]:
        """`missing`: what it is if something is not there, which may be there again."""
        try:
            with self._lock:
                yield
        except FarError as error:
            raise _port_error(error, missing) from error
        except (FarLost, BrokenPipeError, EOFError) as error:
            raise Unreachable(f"the way to the target is cut: {error}") from error


def _port_error(error: FarError, missing: type[PortError] = Rejected) -> PortError:
    kinds: Mapping[str, type[PortError]] = {
        FULL: NoRoom,
        MISMATCH: Mismatch,
        MISSING: missing,
        BUSY: Unreachable,
        BROKEN: Unreachable,  # words that nobody can read refuse nothing
    }
    kind = kinds.get(error.code, Rejected)
    return kind(error.message if isinstance(error, BucketError) else f"the far end says {error}")


def _entry(file: InputFile) -> Entry:
    from burstd.far.order import InputFile as Entry

    return Entry(file.path, file.size, file.blake3, file.mtime_ns, file.mode)


def connector(api: Api) -> Callable[[Mapping[str, Any], Path], Depot]:
    """How the agent opens its depot: a key of its own, a ticket for it, one ssh process.

    The function raises ``Away`` while burstd prepares the target, ``Unreachable`` if nobody
    answers there.
    """

    def connect(words: Mapping[str, Any], directory: Path) -> Depot:
        key = directory / "id"
        if not key.with_suffix(".pub").exists():  # written last, behind the key
            key.unlink(missing_ok=True)
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "burst", "-f", str(key)]
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, env=_OURS)
        public = (directory / "id.pub").read_text()
        try:
            answer = api.post(f"/v1/standins/{words['burst']}/ticket", {"public_key": public})
        except Denied as error:
            raise Rejected(str(error)) from error
        if answer["kind"] != "ssh":
            raise Rejected(f"this agent knows no depot of kind {answer['kind']!r}")
        fields = {name: answer["fields"][name] for name in SshTicket.__dataclass_fields__}
        ticket = SshTicket(**fields)
        (directory / "id-cert.pub").write_text(ticket.certificate + "\n")
        (directory / "known_hosts").write_text(ticket.known_hosts)
        pace = Pace(lambda moved: _share(api, words["burst"], moved))
        passage = _passage(api, words["burst"], answer, pace)

        def line(first: bool = False) -> SshLine:
            return SshLine(_ssh(ticket, directory), pace, passage, first)

        return SshDepot(line(first=True), words["key"], line)

    return connect


def _passage(api: Api, burst: str, answer: Mapping[str, Any], pace: Pace) -> Passage | None:
    """The bucket that files pass through; nothing: they go over the line."""
    if answer["seal"] is None:
        return None
    from burstd.agent.passage import Passage, addresses

    def sign(
        put: Sequence[str] = (), get: Sequence[str] = (), bad: Sequence[str] = ()
    ) -> Addresses:
        wish = {"put": list(put), "get": list(get), "bad": list(bad)}
        try:
            return addresses(api.post(f"/v1/standins/{burst}/addresses", wish))
        except Denied as error:
            raise Rejected(str(error)) from error

    return Passage(bytes.fromhex(answer["seal"]), sign, pace)


def _share(api: Api, burst: str, moved: int) -> float | None:
    """How fast we may move files; nothing: as fast as the line carries. Raises ``Away``."""
    try:
        rate = api.get(f"/v1/standins/{burst}/share?moved={moved}")["rate"]
    except Denied as error:
        raise Away(str(error)) from error
    return float(rate) if rate else None


def _ssh(ticket: SshTicket, directory: Path) -> subprocess.Popen[bytes]:
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "15",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        "UserKnownHostsFile": str(directory / "known_hosts"),
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "ControlPath": "none",
        "LogLevel": "ERROR",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    argv = ["ssh", "-T", "-F", os.devnull, "-i", str(directory / "id"), "-p", ticket.port, *words]
    # The forced command of the certificate decides what runs; ours is only a name for the logs.
    argv += [f"{ticket.user}@{ticket.host}", "burst-far"]
    with (directory / "ssh.log").open("ab") as log:
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=log, env=_OURS)
