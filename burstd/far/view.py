"""What a run shows the other end: how far it is, its output, its files."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from typing import Callable

from burstd.far import live, paths, rundir, wire
from burstd.far.errors import LOST, REFUSED, FarError, answered, from_os
from burstd.far.fields import Fields
from burstd.far.moments import changed
from burstd.far.payloads import compressed

MAX_READ = 8 * 1024 * 1024
MAX_NAMED = 4 * 1024 * 1024 * 1024  # bytes whose chunks are named at once: it takes seconds

Answer = tuple[wire.Header, bytes]


class View:
    """Answers to requests that change nothing."""

    def __init__(self, run: Callable[[], rundir.RunDir]) -> None:
        """`run`: opens it, once it is asked for."""
        self._run = run
        self.answers: Mapping[str, Callable[[Fields], Answer]] = {
            "status": self._status,
            "read": self._read,
            "names": self._names,
            "gather": self._gather,
            "files": self._files,
            "outputs": self._outputs,
        }

    def _status(self, _: Fields) -> Answer:
        run = self._run()
        started = run.last_start()
        status, end = run.read(rundir.STATUS), run.read(rundir.END)
        with paths.directory(run.fd, (rundir.IO,), create=True) as io:
            streams = {name: live.size(io, name.encode()) for name in ("stdout", "stderr")}
        return {
            "started": started,
            "busy": run.busy(),
            "status": None if status is None else _heartbeat(status),
            "end": None if end is None else _summary(end),
            **streams,
            "live": self._live(run),
        }, b""

    def _live(self, run: rundir.RunDir) -> list[dict[str, object]]:
        document = run.read(rundir.LIVE)
        if document is None:
            return []
        fields = Fields.parse(document, "live")
        with paths.directory(run.fd, (rundir.TREE,), create=True) as tree:
            return live.sizes(tree, fields.text("cwd"), fields.texts("live"))

    def _read(self, fields: Fields) -> Answer:
        with _of_one():
            return self._content(fields)

    def _content(self, fields: Fields) -> Answer:
        offset, length = fields.integer("offset"), fields.integer("length")
        if length > MAX_READ:
            raise FarError(REFUSED, f"at most {MAX_READ} bytes at a time")
        which = fields.raw("which")
        if which in ("stdout", "stderr"):
            place: paths.Parts = (rundir.IO, which.encode())
        else:
            place = (rundir.TREE, *paths.split(Fields(which, "read.which").text("path")))
        fd = paths.open_regular(self._run().fd, place)
        try:
            content = os.pread(fd, length, offset)
            total = os.fstat(fd).st_size
        finally:
            os.close(fd)
        packed, payload = compressed(content)
        return {"total": total, **packed}, payload

    def _gather(self, fields: Fields) -> Answer:
        """Whole files, as long as all have at most so many bytes; those that can't be had with the
        others are asked for alone, and refused then."""
        left, found, sizes = min(fields.integer("most"), MAX_READ), [], []
        with paths.directory(self._run().fd, (rundir.TREE,), create=True) as tree:
            for path in fields.texts("paths"):
                content = live.whole(tree, path, left)
                sizes.append(-1 if content is None else len(content))
                found.append(content or b"")
                left -= len(found[-1])
        ends = list(accumulate(map(len, found)))
        packed, payload = compressed(b"".join(found), ends)
        return {"sizes": sizes, **packed}, payload

    def _names(self, fields: Fields) -> Answer:
        with _of_one():
            return self._pieces(fields)

    def _pieces(self, fields: Fields) -> Answer:
        from burstd.far.parts import WANTED
        from burstd.far.windows import windows

        offset, length = fields.integer("offset"), fields.integer("length")
        if offset < 0 or length > MAX_NAMED:
            raise FarError(REFUSED, f"names of at most {MAX_NAMED} bytes at a time")
        fd = paths.open_regular(self._run().fd, (rundir.TREE, *paths.split(fields.text("path"))))
        try:
            found = [
                WANTED.pack(name, len(part))
                for window in windows(fd, offset + length, offset)
                for name, _, part in window.pieces()
            ]
        finally:
            os.close(fd)
        return {}, b"".join(found)

    def _files(self, fields: Fields) -> Answer:
        """What is there now of some names below the job's directory."""
        document = self._run().read(rundir.LIVE)
        if document is None:
            return {"files": []}, b""
        cwd = Fields.parse(document, "live").text("cwd")
        with paths.directory(self._run().fd, (rundir.TREE,), create=True) as tree:
            found = live.matching(tree, cwd, fields.texts("patterns"), deep=True)
        return {
            "files": [
                {
                    "path": path,
                    "size": fact.st_size,
                    "mtime_ns": changed(fact),
                    "mode": stat.S_IMODE(fact.st_mode),
                    "inode": fact.st_ino,
                }
                for path, fact in found.items()
            ]
        }, b""

    def _outputs(self, _: Fields) -> Answer:
        from burstd.far import postmortem

        with answered():
            return {}, postmortem.end_of(self._run())


@contextmanager
def _of_one() -> Iterator[None]:
    """What the disk has lost of one file concerns no other: a refusal."""
    try:
        yield
    except OSError as error:
        if error.errno in LOST:
            raise FarError(REFUSED, from_os(error).message) from error
        raise


def _heartbeat(status: bytes) -> object:
    """Without the files that a runner of an earlier version lists there."""
    found = json.loads(status.decode("ascii"))
    if isinstance(found, dict):
        found.pop("live", None)
    return found


def _summary(end: bytes) -> dict[str, object]:
    from burstd.far import endrecord

    return endrecord.summary(end)
