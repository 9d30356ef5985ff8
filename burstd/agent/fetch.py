"""``python -m burstd.agent.fetch BURST``: brings what remains at a target behind its job's end.
``burst pull`` starts it, as the job's user; which files is on its standard input, a JSON list of
paths; ``null``: it only looks which there are, and tells burstd. What it says on its standard
output are lines of JSON: ``{"bytes": N}`` once it is paid, ``{"came": N}`` while they move, and the
last one with ``files`` and ``notes``, or ``error``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from burstd.agent.api import SOCKET, Api, Away, Denied
from burstd.agent.arrivals import Arrivals, in_order
from burstd.agent.landing import Landing
from burstd.agent.memory import from_report
from burstd.agent.ssh_depot import connector
from burstd.agent.tiers import coming, staying
from burstd.domain.data import OutputFile, from_rows, row_of
from burstd.far import garbage
from burstd.far.endrecord import UNREADABLE
from burstd.ports.depot import Depot, Growing
from burstd.ports.errors import Mismatch, PortError, Rejected, Transient

HEARD_EVERY = 30.0  #: seconds
PATIENCE = 600.0  #: seconds without a byte
AGAIN = 5.0  #: seconds between two tries
TOLD_EVERY = 0.2  #: seconds
BLOCK = 2**20
MOST_SAID = 20  #: lines about what can't be read

Found = TypeVar("Found")
Words = Mapping[str, Any]
Say = Callable[[Mapping[str, object]], None]


@dataclass
class Fetching:
    """``connect`` opens the depot, with keys in a directory of its own."""

    api: Api
    connect: Callable[[Words, Path], Depot]
    say: Say
    _came: int = 0
    _at: float = 0.0  #: of the last byte
    _told: float = 0.0
    _damaged: dict[str, int] = field(default_factory=dict)

    def bring(self, burst: str, paths: Sequence[str]) -> None:
        """All of them to their places. Raises ``Away``, ``Denied``, ``PortError`` and ``OSError``;
        what has come by then stays."""
        words = self.api.get(f"/v1/standins/{burst}/remains")
        wanted, listed = frozenset(paths), from_rows(words["files"])
        files = [file for file in listed if file.path in wanted]
        landing = self._landing(words)
        lacking = [file for file in files if not landing.seems_landed(file)]
        if lacking:
            asked = {"paths": [file.path for file in lacking]}
            self.say(self.api.post(f"/v1/standins/{burst}/fetches", asked))
        with tempfile.TemporaryDirectory(prefix="burst-fetch-") as keys, self._heard(burst):
            self._patiently(lambda: self._once(words, Path(keys), landing, files))
            if words["unlanded"] and len(files) == len(listed):
                self._patiently(lambda: self._others(words, Path(keys), landing))
        told = [{"path": file.path, "bytes": file.size} for file in files]
        notes = list(dict.fromkeys(landing.notes))  # behind a cut all is looked at once more
        self.say({"files": told, "notes": notes})

    def look(self, burst: str) -> None:
        """Tell burstd which files there are, of a job whose stand-in ended before it could: by the
        runner's sealed record. Raises as ``bring`` does."""
        words = self.api.get(f"/v1/standins/{burst}/remains")
        _, roots = from_report(words)

        def listed() -> tuple[list[OutputFile], str, Growing]:
            depot = self.connect(words, Path(keys))
            try:
                return *self._results(words, depot), depot.growing()
            finally:
                depot.close()

        with tempfile.TemporaryDirectory(prefix="burst-fetch-") as keys, self._heard(burst):
            entries, left, said = self._patiently(listed)
        files = staying(entries, str(roots[0]), ["*"], ())
        rest = len([entry for entry in entries if entry.kind == "file"]) - len(files)
        notes = [left] if left else []
        notes += [f"{rest} more files, or without a digest, are not listed"] if rest else []
        unread = [one for one in entries if one.kind == UNREADABLE]
        notes += [f"{one.path} cannot be read there: {one.target}" for one in unread[:MOST_SAID]]
        more = len(unread) - MOST_SAID
        notes += [f"and {more} more that cannot be read there"] if more > 0 else []
        # Where in its own output files its stand-in has come to nobody knows.
        now = time.time_ns()
        for path, stream in _streams(words).items():
            if size := getattr(said, stream):
                files.append(OutputFile(path, "file", size, "", now))
        report = {"kind": "listing", "body": {"files": list(map(row_of, files))}}
        self.api.post(f"/v1/standins/{burst}/reports", report)
        self.say({"files": len(files), "notes": notes})

    def _results(self, words: Words, depot: Depot) -> tuple[list[OutputFile], str]:
        """What its runner's record has of them, and a line about those that do not come."""
        known, roots = from_report(words)
        found = depot.outputs(words["secret"]).results
        return coming(found, str(roots[0]), words["scratch"], known)

    def _patiently(self, work: Callable[[], Found]) -> Found:
        """A line that is cut is opened again, as long as something moves now and then."""
        self._at = time.monotonic()
        while True:
            try:
                return work()
            except (Away, Transient):
                if time.monotonic() - self._at > PATIENCE:
                    raise
                time.sleep(AGAIN)

    def _once(
        self, words: Words, keys: Path, landing: Landing, files: Sequence[OutputFile]
    ) -> None:
        depot, streams = self.connect(words, keys), _streams(words)

        def fetch(entry: OutputFile, into: int, similar: int | None) -> None:
            if stream := streams.get(entry.path):
                self._said(depot, stream, entry.size, into)
            else:
                depot.fetch(entry, into, self._count, similar)

        landing.fetch = fetch
        try:
            arrivals = Arrivals(landing, self._damaged)
            ordered = in_order(one for one in files if one.path not in streams)
            while ordered:
                depot.expect([one for one in ordered if not landing.seems_landed(one)])
                arrivals.land(ordered)
                again = frozenset(arrivals.again)
                ordered = [one for one in ordered if one.path in again]
            for one in files:
                if one.path in streams and not landing.seems_landed(one):
                    landing.copy(one)
        finally:
            depot.close()

    def _said(self, depot: Depot, stream: str, size: int, into: int) -> None:
        """One of its output streams, which only ever grew: what came before a cut stays."""
        at = os.fstat(into).st_size
        while at < size:
            block = depot.read(stream, at, min(BLOCK, size - at))
            if not block:
                raise Mismatch(f"{stream} ends after {at} of {size} bytes")
            self._count(len(block))
            at += os.pwrite(into, block, at)  # a full disk takes a part: the rest is read once more

    def _others(self, words: Words, keys: Path, landing: Landing) -> None:
        """Directories that nothing lies in, and links: they cost nothing, and are on no list."""
        depot = self.connect(words, keys)
        try:
            found = self._results(words, depot)[0]
        finally:
            depot.close()
        Arrivals(landing, {}).land(in_order(one for one in found if one.kind != "file"))

    def _landing(self, words: Words) -> Landing:
        def nowhere(_entry: OutputFile, _into: int, _similar: int | None) -> None:
            raise Rejected("there is no line yet")

        known, roots = from_report(words)
        return Landing(words["burst"], roots, known, nowhere, links=words["links"])

    def _count(self, size: int) -> None:
        self._came, self._at = self._came + size, time.monotonic()
        if self._at - self._told > TOLD_EVERY:
            self._told = self._at
            self.say({"came": self._came})

    @contextmanager
    def _heard(self, burst: str) -> Iterator[None]:
        """burstd keeps the way open meanwhile."""
        over = threading.Event()

        def tell() -> None:
            while True:
                with suppress(Away, Denied):  # the line itself shows whether there is a way
                    self.api.post(f"/v1/standins/{burst}/fetching", {})
                if over.wait(HEARD_EVERY):
                    return

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()


def _streams(words: Words) -> Mapping[str, str]:
    """Files that its output comes to, beside its own output files: of each which stream it is."""
    top = f"{words['roots'][0]}/burst-{words['burst']}" if words["unlanded"] else ""
    return {f"{top}.out": "stdout", f"{top}.err": "stderr"} if top else {}


def main() -> int:
    """0 once all is there."""
    garbage.seldom()
    api = Api(SOCKET)

    def say(line: Mapping[str, object]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    try:
        fetching, wish = Fetching(api, connector(api), say), json.load(sys.stdin)
        if wish is None:
            fetching.look(sys.argv[1])
        else:
            fetching.bring(sys.argv[1], wish)
    except OSError as error:
        say({"error": f"{error.filename or 'the disk'}: {error.strerror or error}"})
    except (Away, Denied, PortError) as error:
        say({"error": str(error)})
    except KeyboardInterrupt:  # what has come stays
        say({"error": "interrupted; the same words again go on from here"})
    else:
        return os.EX_OK
    return 1


if __name__ == "__main__":
    sys.exit(main())
