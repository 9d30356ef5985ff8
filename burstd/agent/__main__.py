"""``burst-agent SCRIPT [ARGUMENTS]``: started by the SPANK plugin, and again by burst-wait."""

from __future__ import annotations

import os
import shutil
import sys
import time

from burstd.agent.agent import Agent
from burstd.agent.api import Api
from burstd.agent.memory import recall
from burstd.agent.ssh_depot import connector
from burstd.agent.standin import StandIn, this_one

SOCKET = os.environ.get("BURSTD_SOCKET", "/run/burstd/burstd.sock")


def become_waiter(job: StandIn, version: int, seconds: int) -> None:
    """Turn this process into burst-wait, which turns into the agent again. Where the waiter is
    not installed the interpreter sleeps."""
    again = [sys.executable, "-m", "burstd.agent", str(job.script), *job.arguments]
    waiter = shutil.which("burst-wait", path="/usr/local/bin:/usr/bin:/opt/burstd/bin")
    if waiter is None:
        time.sleep(min(seconds, 10))
        return
    words = [waiter, SOCKET, job.job, str(version), str(seconds), "--", *again]
    os.execv(waiter, words)  # noqa: S606 - a shell would be in the way of signals


def main() -> None:
    """Live until the job is over."""
    job = this_one(sys.argv[1:], os.environ)
    api = Api(SOCKET)
    Agent(
        job,
        api,
        recall(),
        connector(api),
        lambda version, seconds: become_waiter(job, version, seconds),
    ).live()


if __name__ == "__main__":
    main()
