"""``burst-agent SCRIPT [ARGUMENTS]``: started by the SPANK plugin, and again by burst-wait."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

from burstd.agent.agent import Agent
from burstd.agent.api import SOCKET, Api
from burstd.agent.memory import Memory, recall
from burstd.agent.ssh_depot import connector
from burstd.agent.standin import StandIn, this_one
from burstd.far import garbage

WHERE = ("/usr/local/bin", "/usr/bin", "/opt/burstd/bin")


def become_waiter(job: StandIn, version: int, seconds: int) -> None:
    """Turn this process into burst-wait, which turns into the agent again. Where the waiter is
    not installed the interpreter sleeps."""
    waiters = (f"{place}/burst-wait" for place in WHERE)
    waiter = next((path for path in waiters if os.access(path, os.X_OK)), None)
    if waiter is None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        time.sleep(min(seconds, 10))
        return
    words = [waiter, SOCKET, job.job, str(version), str(seconds), "--", *again(job)]
    os.execv(waiter, words)  # noqa: S606 - a shell would be in the way of signals


def again(job: StandIn) -> list[str]:
    """The agent's next life. ``-P``: a ``json.py`` in the job's directory is not ours. Names are
    bytes, whatever the job's locale is."""
    return [
        sys.executable,
        "-P",
        "-X",
        "utf8",
        "-m",
        "burstd.agent",
        str(job.script),
        *job.arguments,
    ]


def remember() -> Memory:
    """The memory, as soon as there is room for one: without it nothing can be promised."""
    while True:
        try:
            return recall()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.write(2, f"burstd: no room for the agent's memory: {error}; waiting\n".encode())
            time.sleep(30)


def main() -> None:
    """Live until the job is over."""
    garbage.seldom()
    job = this_one(sys.argv[1:], os.environ)
    api = Api(SOCKET)
    Agent(
        job,
        api,
        remember(),
        connector(api),
        lambda version, seconds: become_waiter(job, version, seconds),
    ).live()


if __name__ == "__main__":
    main()
