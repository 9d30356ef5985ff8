"""Watches while a run is under way: what payloads say, and what a reader of their files sees.

A payload in a container reaches nothing but its own files. It appends lines to `witness.NAME` in
its directory, and the notary reads them there: in the far run directory while that exists, and at
home. `WORD NAME EXECUTION HOST TIME`, the execution drawn by each start from the kernel.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.lab import Lab
from lab.oracle.evidence import FileSeen, Word
from lab.oracle.gather import RUNS, files_below, look

PERIOD = 0.4  #: seconds; a run directory outlives its payload by ten


@dataclass
class Notary:
    """Between `start` and `stop`. `finals`: files that must be whole whenever they are there."""

    lab: Lab
    finals: Mapping[str, FileSeen] = field(default_factory=dict)
    words: set[Word] = field(default_factory=set)
    glimpses: set[str] = field(default_factory=set)
    gone: dict[str, float] = field(default_factory=dict)
    landed: dict[str, float] = field(default_factory=dict)
    _there: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._watch, name="notary", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """A last look, and no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._look()

    def said(self, job: str, word: str = "start") -> bool:
        """True once a payload of this name has said so."""
        return any((w.job, w.word) == (job, word) for w in tuple(self.words))

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            self._look()

    def _look(self) -> None:
        runs = self.lab.share("cloud", RUNS)
        there = {path.name for path in runs.iterdir()}
        for name in self._there - there:
            self.gone[name] = time.time()  # noqa: TID251
        self._there = there
        for top in (runs, self.lab.share("onprem", "/home/alice")):
            for path in files_below(top):
                if path.name.startswith("witness."):
                    self._read(path)
        for final, right in self.finals.items():
            self._glance(final, right)

    def _read(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            for line in path.read_text(errors="replace").splitlines(keepends=True):
                parts = line.split()
                if len(parts) == 5 and line.endswith("\n"):
                    word, job, execution, host, at = parts
                    self.words.add(Word(job, execution, word, host, float(at)))

    def _glance(self, path: str, right: FileSeen) -> None:
        if path in self.landed:
            return
        seen = look(self.lab.share("onprem", path))
        if seen is None:
            return
        if seen.sha256 == right.sha256:
            self.landed[path] = time.time()  # noqa: TID251
        else:
            self.glimpses.add(f"{path} was there with other bytes")
