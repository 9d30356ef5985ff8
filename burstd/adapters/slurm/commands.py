"""Slurm's programs, run with a deadline; their complaints translated to port errors."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from burstd.adapters.programs import found
from burstd.ports.errors import AccessDenied, PortError, Rejected, Transient, Unreachable


class NoSuchJob(Rejected):
    """Slurm does not know the job (any more)."""


class NotNow(Rejected):
    """Slurm has done it, and says that the job can't start in one of its partitions now."""


#: What Slurm's programs print (slurm/src/common/slurm_errno.c) and what it means for us.
COMPLAINTS: tuple[tuple[str, type[PortError]], ...] = (
    (r"Invalid job id|^Job \S+ not found", NoSuchJob),
    (r"Requested partition configuration not available now", NotNow),
    (r"Access/permission denied|user.*not (a )?(privileged|authorized)", AccessDenied),
    (r"Munge|munged|authentication|credential", Unreachable),
    (r"No route to host|timed out|name resolution|Name or service not known", Unreachable),
    (r"Unable to contact slurm controller|Socket timed out|Connection refused", Unreachable),
    (r"Zero Bytes were transmitted|Unexpected message|Communication connection", Unreachable),
    (r"slurm_load_jobs error|Slurm backup controller|DBD_|slurmdbd", Unreachable),
    (r"Resource temporarily unavailable|try again|Transaction rejected", Transient),
)


def translate(program: str, complaint: str) -> PortError:
    """The port error for what a Slurm program wrote to stderr."""
    text = " ".join(complaint.split())[:300] or "it failed without a word"
    for pattern, kind in COMPLAINTS:
        if re.search(pattern, complaint, re.IGNORECASE):
            return kind(f"{program}: {text}")
    return Rejected(f"{program}: {text}")


#: What a program complains of and ends with 0 all the same: ``scontrol write batch_script``.
_QUIET_FAILURE = "job script retrieval failed"


def answer(program: str, code: int, stdout: str, stderr: str) -> str:
    """What a program that ended so has said. Raises what ``translate`` makes of a failure."""
    if code != 0 or (not stdout and _QUIET_FAILURE in stderr):
        raise translate(program, stderr or stdout)  # scontrol misses an array's element on stdout
    return stdout


NOTHING_MORE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Slurm:
    """Where Slurm's programs are and how long they may take."""

    deadline: float = 30.0  #: seconds
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, argv: Sequence[str], environment: Mapping[str, str] = NOTHING_MORE) -> str:
        """Standard output of one program, run with these variables beside those that all get.

        Raises ``NoSuchJob``, ``AccessDenied``, ``Unreachable``, ``Transient`` or ``Rejected``.
        """
        variables = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C.UTF-8",
            "SLURM_TIME_FORMAT": "%s",  # seconds since 1970, whatever the site's zone
            "SLURM_BITSTR_LEN": "0",  # array tasks in full: squeue cuts them to 64 bytes
            **self.environment,
            **environment,
        }
        try:
            done = subprocess.run(
                found(argv, variables["PATH"]),
                capture_output=True,
                text=True,
                errors="replace",  # names come in any bytes; the ledger and JSON take text only
                timeout=self.deadline,
                env=variables,
                stdin=subprocess.DEVNULL,
                check=False,
                close_fds=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"{argv[0]} gave no answer in {self.deadline:g} s") from error
        except OSError as error:
            raise Unreachable(f"{argv[0]} could not be started: {error}") from error
        return answer(argv[0], done.returncode, done.stdout, done.stderr)
