"""One running host of the lab: run commands in it, start programs, look at its files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import procs
from lab.errors import CommandFailed, LabError, NotUp
from lab.facts import HostSpec
from lab.paths import Paths
from lab.procs import Process
from lab.services import SERVICES, Service

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENTER = ("-m", "-u", "-i", "-n", "-p", "--")

# Signals after which a daemon is to be gone.
_ENDING = {signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT}

# Popen objects of programs that outlive the variable that held them: dropping one warns about a
# running child.
_KEPT: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Spawned:
    """A program started in a host. It ends with the lab at the latest."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The program's number as the machine counts (not as its host counts).

        0 if it has ended.
        """
        return next(iter(procs.children(self.popen.pid)), 0)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self.popen.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        return self.popen.wait(timeout)

    def signal(self, number: int) -> None:
        """Send a signal to the program itself; nothing if it has ended."""
        if process := Process.of(self.pid):
            process.signal(number)
        if number == signal.SIGCONT:  # nsenter stops itself when its child stops
            self.popen.send_signal(number)

    def stop(self, timeout: float = 10) -> int:
        """TERM, then KILL if it does not end in time. Returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.wait(timeout)


@dataclass(frozen=True)
class Host:
    """A host by its first process. All methods raise NotUp if that is gone."""

    spec: HostSpec
    first: Process
    paths: Paths

    @property
    def name(self) -> str:
        return self.spec.name

    def run(  # noqa: PLR0913  # the face of subprocess.run
        self,
        argv: Sequence[str],
        user: str = "root",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        check: bool = True,
        timeout: float | None = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as a user, in a clean environment, in `cwd` or the user's home.

        Raises CommandFailed for another code than 0 if `check`, and subprocess.TimeoutExpired after
        killing the command and what it started in its session.
        """
        popen = subprocess.Popen(
            self.entry(argv, user, cwd), env=self.environment(user, env),
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with popen:
            try:
                out, err = popen.communicate(input, timeout)
            except BaseException:
                # nsenter does not pass signals on: the command itself, in a session of its own
                # unless it has only just begun, must be ended; nor may it begin now.
                popen.send_signal(signal.SIGSTOP)
                for child in procs.children(popen.pid):
                    for kill in (os.killpg, os.kill):
                        with contextlib.suppress(ProcessLookupError):
                            kill(child, signal.SIGKILL)
                popen.kill()
                raise
        if check and popen.returncode:
            raise CommandFailed(self.name, list(argv), popen.returncode, out + err)
        return subprocess.CompletedProcess(list(argv), popen.returncode, out, err)

    def sh(self, script: str, user: str = "root", check: bool = True) -> str:
        """Run a shell script and return what it wrote to stdout."""
        return self.run(["sh", "-c", script], user=user, check=check).stdout

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        user: str,
        log: Path,
        caps: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> Spawned:
        """Start a program and return at once; its output is appended to `log`.

        For anyone but root it gets no privileges, now or later, but the capabilities named in
        `caps` ("net_admin"). `name` is for `kill`; a name can be used again once its program has
        ended.
        """
        record = self._record(name)
        # One that was just killed may take a moment to be gone.
        if (old := self._recorded(name)) and not old.wait_gone(1):
            raise LabError(
                f"{self.name}: {name} runs already", "kill it first, or use another name"
            )
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            popen = subprocess.Popen(
                self.entry(argv, user, None, _limits(user, caps)), env=self.environment(user, env),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
            )  # fmt: skip
        _KEPT[:] = [kept for kept in _KEPT if kept.poll() is None] + [popen]
        if process := Process.of(popen.pid):
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps([process.pid, process.started]))
        return Spawned(name, popen, log)

    def kill(self, name: str, number: int = signal.SIGTERM) -> None:
        """Send a signal to a program started with `spawn`, also by another process.

        Nothing if it has ended.
        """
        outer = self._recorded(name)
        if outer is None:
            raise LabError(f"{self.name}: nothing was started under the name {name}")
        if outer.alive():
            for child in procs.children(outer.pid):
                if process := Process.of(child):
                    process.signal(number)

    def end(self, name: str, seconds: float = 20) -> None:
        """TERM, then KILL, for a program started with `spawn`; returns when it is gone.

        Nothing if it was never started or has ended.
        """
        outer = self._recorded(name)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if outer is None or not outer.alive():
                return
            self.kill(name, number)
            outer.wait_gone(seconds)

    def start_service(self, name: str, variables: Mapping[str, str] | None = None) -> None:
        """Start a service, with these variables if any, and wait until it serves; only the latter
        if it runs already.

        Raises LabError, with the end of its log, if it does not come.
        """
        service = self._service(name)
        if not self.running(name):
            words = [f"{key}={value}" for key, value in (variables or {}).items()]
            line = f"{{ {service.start}; }} </dev/null"
            self.run(["env", *words, "sh", "-c", line], cwd="/")
        end = time.monotonic() + service.patience
        while self.run(["sh", "-c", service.ready], check=False, cwd="/").returncode:
            if time.monotonic() > end:
                tail = self.run(["tail", "-5", service.log], check=False).stdout.strip()
                raise LabError(
                    f"{name} on {self.name} does not serve: {tail or 'its log is empty'}"
                )
            time.sleep(0.05)

    def stop_service(self, name: str, number: int = signal.SIGTERM) -> None:
        """Send a service a signal; wait until it is gone if the signal is one that ends it.

        Nothing if it does not run. Raises LabError if it does not end.
        """
        processes = self.processes(self._service(name).process)
        for process in processes:
            process.signal(number)
        if number in _ENDING and not all(process.wait_gone(30) for process in processes):
            raise LabError(f"{name} on {self.name} does not end", "send it SIGKILL")

    def restart_service(self, name: str) -> None:
        """Stop and start a service."""
        self.stop_service(name)
        self.start_service(name)

    def running(self, name: str) -> bool:
        """True if a service has a process. Whether it serves is another question."""
        return bool(self.processes(self._service(name).process))

    def write(self, path: str, content: str, mode: int = 0o644, owner: str = "root:root") -> None:
        """Write a file in the host, making its folder.

        Done inside, so a user's links can't lead out of it.
        """
        user, _, group = owner.partition(":")
        options = ["-D", "-m", f"{mode:o}", "-o", user, "-g", group or user]
        self.run(["install", *options, "/dev/stdin", path], input=content)

    def read(self, path: str) -> str:
        """A file of the host."""
        return self.run(["cat", path]).stdout

    def path(self, inside: str) -> Path:
        """Where the machine sees a file of this host, for reading.

        An absolute link there leads to the machine's own files.
        """
        self._alive()
        return Path(f"/proc/{self.first.pid}/root") / inside.lstrip("/")

    def processes(self, name: str) -> list[Process]:
        """The host's processes of this short name."""
        return [process for process in procs.inside(self.first) if procs.name_of(process) == name]

    def entry(
        self,
        argv: Sequence[str],
        user: str = "root",
        cwd: str | None = None,
        limits: Sequence[str] = (),
        session: bool = True,
    ) -> list[str]:
        """The machine's command line that runs `argv` in this host.

        `session` detaches it from the terminal.
        """
        self._alive()
        # cd happens last, as the user: a home is closed to others, root of an NFS client included.
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *limits]
        detach = ["setsid"] if session else []
        place = ["env", "-C", cwd or self.home(user), "--"]
        nsenter = [shutil.which("nsenter") or "nsenter", "-t", str(self.first.pid), *ENTER]
        return [*nsenter, *detach, *become, *place, *argv]

    def environment(self, user: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a login would set, and `extra`; nothing of ours."""
        base = {"PATH": PATH, "HOME": self.home(user), "USER": user, "LOGNAME": user}
        return {**base, "SHELL": "/bin/bash", "LANG": "C.UTF-8", **(extra or {})}

    def home(self, user: str) -> str:
        """The user's home in this host. Raises LabError for a stranger."""
        layer = self.paths.host(self.name) / "layer/etc/passwd"
        passwd = layer if layer.exists() else self.paths.trixie / "etc/passwd"
        for line in passwd.read_text().splitlines():
            entry = line.split(":")
            if entry[0] == user:
                return entry[5]
        raise LabError(f"{self.name} knows no user {user}")

    def _service(self, name: str) -> Service:
        known = (*self.spec.services, *self.spec.on_demand)
        if name not in known:
            has = ", ".join(known) or "none"
            raise LabError(f"{self.name} has no service {name} (it has: {has})")
        return SERVICES[name]

    def _alive(self) -> None:
        if not self.first.alive():
            raise NotUp(f"host {self.name} is not running", "python -m lab up")

    def _record(self, name: str) -> Path:
        return self.paths.state / "spawned" / f"{self.name}.{name}.json"

    def _recorded(self, name: str) -> Process | None:
        record = self._record(name)
        return Process(*json.loads(record.read_text())) if record.exists() else None


def _limits(user: str, caps: Sequence[str]) -> list[str]:
    """setpriv options that leave a program these capabilities and no way to get others."""
    if user == "root" and not caps:
        return []
    kept = "".join(f",+{cap.lower().removeprefix('cap_')}" for cap in caps)
    sets = ("--bounding-set", "--inh-caps", "--ambient-caps")
    return [*(f"{option}=-all{kept}" for option in sets), "--no-new-privs"]
