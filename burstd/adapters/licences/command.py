"""A licence server, asked by its status command."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO

from burstd.adapters.licences import flexnet, lmx, rlm
from burstd.adapters.licences.counts import Parser
from burstd.adapters.programs import found
from burstd.domain.licences import Pool
from burstd.ports.errors import Unreachable

PARSERS: Mapping[str, Parser] = MappingProxyType(
    {"flexnet": flexnet.parse, "rlm": rlm.parse, "lmx": lmx.parse}
)
LONGEST_ANSWER = 16 * 1024**2  #: characters


@dataclass(frozen=True)
class Feature:
    """What a pool is called at its source, and how many of it bursts leave to others."""

    name: str
    kept: int = 0


@dataclass(frozen=True)
class CommandSource:
    """Port ``LicenceSource``. ``features``: by the name of the pool."""

    argv: Sequence[str]
    parser: Parser
    features: Mapping[str, Feature]
    deadline: float = 10.0  #: seconds

    @property
    def wanted(self) -> Mapping[str, str]:
        return dict.fromkeys(self.features, "")

    def pools(self) -> Mapping[str, Pool]:
        counts = self.parser(self._answer())
        return {
            name: Pool(name, counts[f.name].total, counts[f.name].used, f.kept)
            for name, f in self.features.items()
            if f.name in counts
        }

    def _answer(self) -> str:
        """The whole of what the command writes, if it ends well and in time."""
        # Files, not pipes: a child that it leaves behind could hold a pipe open for ever.
        try:
            with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as complained:
                code = self._run(told, complained)
                text, complaint = _read(told), _read(complained)
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"{self.argv[0]} gave no answer in {self.deadline:g} s") from error
        except (OSError, ValueError) as error:
            raise Unreachable(f"{self.argv[0]} could not be run: {error}") from error
        if code != 0:
            why = " ".join(f"{complaint} {text}".split())[:200] or "without a word"
            raise Unreachable(f"{self.argv[0]} ended with {code}: {why}")
        if len(text) > LONGEST_ANSWER:
            raise Unreachable(f"{self.argv[0]} wrote more than {LONGEST_ANSWER} characters")
        return text

    def _run(self, told: IO[bytes], complained: IO[bytes]) -> int:
        variables = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            found(self.argv, variables["PATH"]),
            stdout=told,
            stderr=complained,
            stdin=subprocess.DEVNULL,
            timeout=self.deadline,
            env=variables,
            check=False,
            close_fds=False,
        ).returncode


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(LONGEST_ANSWER + 1).decode(errors="replace")
