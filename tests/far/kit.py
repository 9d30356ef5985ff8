"""One far end for tests: the built program, a run directory of an unprivileged user, real pipes."""

from __future__ import annotations

import os
import pwd
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast
from weakref import WeakKeyDictionary

import blake3

from burstd.far import chunks
from burstd.far.client import Client, missing
from burstd.far.endrecord import EndRecord
from burstd.far.order import InputFile, Order
from burstd.far.parts import Part
from burstd.far.program import ALONE

KEY = "b-0123abcd"
SECRET = "5a" * 32
USER = "nobody"
MTIME = 1_700_000_000_123_456_789

# The interpreter of the machine, which (unlike one in /root) the unprivileged user may run.
PYTHON = os.environ.get("BURST_TEST_PYTHON") or shutil.which("python3", path="/usr/bin") or ""


def as_user(argv: Sequence[str]) -> list[str]:
    """The command as the unprivileged user, or as ourselves if we are not root."""
    if os.geteuid():
        return list(argv)
    account = pwd.getpwnam(USER)
    ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--", *argv]


def no_containers() -> str:
    """Why this machine starts no containers for the user; empty if it does."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    probe = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "/bin/true"]
    done = subprocess.run(as_user(probe), capture_output=True, check=False)
    return "" if done.returncode == 0 else done.stderr.decode().strip()


def with_fuse(home: Path) -> list[str]:
    """A prefix that gives the user a /dev/fuse, as compute nodes do, without touching the host's.

    Empty where the user has one.
    """
    probe = ["sh", "-c", "exec 3<>/dev/fuse"]
    if not subprocess.run(as_user(probe), capture_output=True, check=False).returncode:
        return []
    script = (
        'mknod -m 666 "$0" c 10 229 && mount --bind "$0" /dev/fuse && chmod 666 /dev/fuse '
        '&& exec "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", script, str(home / "fuse")]


def entry(path: str, content: bytes, mode: int = 0o640) -> InputFile:
    """A manifest entry for the content."""
    return InputFile(path, len(content), blake3.blake3(content).hexdigest(), MTIME, mode)


#: Of chunks, by conversation.
_NEXT: WeakKeyDictionary[Client, int] = WeakKeyDictionary()


def put(client: Client, one: InputFile, content: bytes) -> int:
    """Sends a file as it is; returns the bytes of chunks that were sent for it. Numbers begin anew
    with each conversation."""
    ends = list(chunks.cut(content))
    starts, names = [0, *ends[:-1]][: len(ends)], chunks.each(chunks.names(content, ends))
    pieces = [content[start:end] for start, end in zip(starts, ends, strict=True)]
    first = _NEXT.get(client, 0)
    _NEXT[client] = first + len(ends)
    wanted = [(name, len(piece)) for name, piece in zip(names, pieces, strict=True)]
    lacking = missing(client.want(wanted).result()[1], len(ends))
    for number in lacking:
        client.chunks([(first + number, 1)], pieces[number], None).result()
    client.build([Part(one.path, 0, [(first, len(ends))], one)]).result()
    return sum(len(pieces[number]) for number in lacking)


@dataclass
class FarEnd:
    """A root at the far end, the program, and the user whom it runs as."""

    home: Path
    program: Path
    image: Path = field(default=Path("/"))
    env: dict[str, str] = field(default_factory=dict)
    within: Sequence[str] = ()

    @property
    def root(self) -> Path:
        return self.home / "far"

    @property
    def run_dir(self) -> Path:
        return self.root / "runs" / KEY

    def file(self, path: str) -> Path:
        """A staged file or result as it lies at the far end."""
        return self.run_dir / "tree" / path.lstrip("/")

    def argv(self, verb: str, *more: str) -> list[str]:
        program = [PYTHON, *ALONE, str(self.program)]
        command = [*program, verb, "--root", str(self.root), "--key", KEY, *more]
        return as_user(command)

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "TMPDIR": str(self.home / "tmp"), **self.env}

    @contextmanager
    def serving(
        self, key: str = KEY, *more: str
    ) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
        """A conversation over real pipes; the program must end well when the line closes."""
        with subprocess.Popen(
            [*(key if word == KEY else word for word in self.argv("serve")), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment(),
        ) as program:
            stdin = cast(BinaryIO, program.stdin)
            try:
                yield Client(stdin, cast(BinaryIO, program.stdout)), program
            finally:
                with suppress(BrokenPipeError):
                    stdin.close()
                program.wait(timeout=60)

    def run(self, attempt: int = 1) -> subprocess.Popen[bytes]:
        """Starts the runner; its stderr is a pipe."""
        return subprocess.Popen(
            [
                *self.within,
                *self.argv(
                    "run",
                    "--attempt",
                    str(attempt),
                    "--image",
                    str(self.image),
                    "--runtimes",
                    "bwrap",
                ),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environment(),
        )

    def output(self, name: str = "stdout") -> str:
        return (self.run_dir / "io" / name).read_text()

    def end(self) -> EndRecord:
        return EndRecord.unseal((self.run_dir / "end.json").read_bytes(), SECRET, KEY)


def order(**changes: object) -> Order:
    """An order with plain values but for the changes."""
    plain: dict[str, object] = {
        "key": KEY,
        "attempt": 1,
        "argv": (),
        "cwd": "/home/alice/study",
        "env": {"USER": "alice", "HOME": "/home/alice", "LANG": "C.UTF-8"},
        "binds": ("/home",),
        "output_roots": ("/home/alice/study",),
        "merged": False,
        "time_limit_s": 120,
        "live": (),
        "exports": {"SLURM_JOB_ID": "4711"},
        "inputs": (),
        "secret": SECRET,
    }
    return Order(**{**plain, **changes})  # type: ignore[arg-type]


def submit(
    far: FarEnd, script: str, files: Mapping[str, bytes] | None = None, **changes: object
) -> Order:
    """Stages the files and hands over the order, as the agent does."""
    manifest = tuple(entry(path, content) for path, content in (files or {}).items())
    made = order(inputs=manifest, **changes)
    with far.serving() as (client, _):
        client.hello()
        for one, content in zip(manifest, (files or {}).values(), strict=True):
            put(client, one, content)
        client.order(made, script.encode())
    return made


def finish(runner: subprocess.Popen[bytes], timeout: float = 60) -> tuple[int, str]:
    """Waits for a runner; its exit code and stderr."""
    try:
        _, words = runner.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        runner.terminate()
        runner.communicate()
        raise
    return runner.returncode, words.decode()


def await_line(path: Path, wanted: str, alive: Callable[[], bool]) -> str:
    """Waits until a line of a growing file holds the text: `tail -F` is the event."""
    with subprocess.Popen(
        ["timeout", "60", "tail", "-n", "+1", "-s", "0.02", "-F", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as tail:
        try:
            for line in cast(IO[str], tail.stdout):
                if wanted in line:
                    return line
        finally:
            tail.kill()
    raise AssertionError(f"{wanted!r} never came (runner alive: {alive()})")


def marked(mark: str) -> list[int]:
    """Processes of this machine whose command line holds the mark, zombies not counted."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (place / "cmdline").read_bytes() and int(place.name) != os.getpid():
                found.append(int(place.name))
    return found


def await_gone(pids: Sequence[int], timeout_s: float = 20) -> None:
    """Waits for the end of processes that are not our children (by pidfd)."""
    for pid in pids:
        with suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                ready, _, _ = select.select([fd], [], [], timeout_s)
                assert ready, f"{pid} is still alive"
            finally:
                os.close(fd)


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in re.findall(r"\d+", text)]


def kill(pid: int, number: signal.Signals) -> None:
    """A signal to one process that we know."""
    os.kill(pid, number)
