"""Container runtimes: how each of them is told the same thing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Protocol

from burstd.far import gpus
from burstd.far.paths import to_bytes

PROBE_S = 20
NOT_FROM_IMAGE = ("dev", "proc", "sys", "tmp", "run", "home", ".burst")

_DRIVER = "/run/gpu"

Env = Mapping[str, str]


@dataclass(frozen=True)
class Container:
    """What is to run and what it may see. Binds are (outside, inside), both absolute."""

    root: str
    work: str
    scratch: str  # its tmp/ is the container's /tmp
    binds: Sequence[tuple[str, str]]
    argv: Sequence[str]
    cwd: str
    env: Env
    user: str
    home: str
    # Ranks of an MPI step need the node's network and must share process and IPC spaces.
    shared_node: bool = False
    gpus: bool = False  # it may see the node's


@dataclass(frozen=True)
class Start:
    """A command line; `keep` are descriptors that it needs. `status` tells whether it started."""

    argv: Sequence[bytes]
    env: Mapping[bytes, bytes]
    keep: Sequence[int] = ()
    status: Optional[int] = None


class Runtime(Protocol):
    """A container runtime on this node."""

    name: str

    def version(self) -> str:
        """Its version, as it calls itself."""

    def trouble(self) -> Optional[str]:
        """Why it cannot be used here, in words; None if a container really started."""

    def start(self, container: Container) -> Start:
        """The command that runs a container. It stays until the payload has ended."""


class Bubblewrap:
    """bwrap: a directory as root, put together from read-only binds on an empty one.

    Not `--die-with-parent`: Slurm's TERM ends bwrap's own outer process, and the payload would die
    with it instead of having its last words. The keeper and the runner own the payload's end.
    """

    name = "bwrap"

    def version(self) -> str:
        return _first_line([self._program(), "--version"]).replace("bubblewrap ", "")

    def _program(self) -> str:
        return shutil.which("bwrap") or "bwrap"

    def trouble(self) -> Optional[str]:
        probe = ["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
        return _trouble([self._program(), *probe, "/bin/sh", "-c", ":"])

    def start(self, container: Container) -> Start:
        # By descriptor: command lines and their environment are for all users of a node to see.
        with tempfile.TemporaryFile(dir=container.work) as status:
            told = os.dup(status.fileno())
        with tempfile.TemporaryFile(dir=container.work) as arguments:
            words = [*self._options(container), "--json-status-fd", str(told)]
            arguments.write(b"".join(to_bytes(word) + b"\0" for word in words))
            arguments.flush()
            arguments.seek(0)
            given = os.dup(arguments.fileno())
        words = [self._program(), "--args", str(given), "--", *container.argv]
        return Start(
            argv=[to_bytes(word) for word in words], env={}, keep=(given, told), status=told
        )

    def _options(self, container: Container) -> list[str]:
        options = ["--unshare-user"] if container.shared_node else ["--unshare-all"]
        options += ["--new-session", *_root_view(container.root)]
        options += ["--proc", "/proc", "--dev", "/dev"]
        # The node's CPUs and NUMA domains: what solvers and MPI libraries place themselves by.
        options += ["--ro-bind", "/sys/devices/system", "/sys/devices/system"]
        if container.shared_node:
            options += ["--bind", "/dev/shm", "/dev/shm"]  # noqa: S108 (ranks meet there)
        tmp = os.path.join(container.scratch, "tmp")
        os.makedirs(tmp, mode=0o700, exist_ok=True)
        options += ["--bind", tmp, "/tmp", "--tmpfs", "/run"]  # noqa: S108
        options += _accounts(container)
        for outside, inside in container.binds:
            options += ["--bind", outside, inside]
        env = dict(container.env)
        if container.gpus:
            options += _gpus(env)
        for name, value in env.items():
            options += ["--setenv", name, value]
        return [*options, "--chdir", container.cwd]


class Apptainer:
    """apptainer (or singularity), unprivileged."""

    name = "apptainer"

    def version(self) -> str:
        return _first_line([self._program(), "--version"])

    def _program(self) -> str:
        return shutil.which("apptainer") or shutil.which("singularity") or "apptainer"

    def trouble(self) -> Optional[str]:
        return _trouble(
            ["unshare", "--user", "--map-root-user", "--mount", self._program(), "--version"]
        )

    def start(self, container: Container) -> Start:
        words = [self._program(), "-s", "exec", "--no-home", "--cleanenv"]
        if container.shared_node:
            # Not --contain: it gives every rank a /dev/shm of its own, whatever is bound there.
            tmp = os.path.join(container.scratch, "tmp")
            os.makedirs(tmp, mode=0o700, exist_ok=True)
            words += ["--no-mount", "home,cwd,tmp,hostfs", "--bind", f"{tmp}:/tmp"]
        else:
            # Without a workdir /tmp would be a tmpfs of 64 MiB.
            words += ["--containall", "--net", "--network", "none", "--workdir", container.scratch]
        words += ["--pwd", container.cwd]
        if container.gpus:
            words += [
                option
                for option, kind in (("--nv", gpus.NVIDIA), ("--rocm", gpus.AMD))
                if gpus.devices([kind])
            ]
        for outside, inside in container.binds:
            words += ["--bind", f"{outside}:{inside}"]
        # HOME cannot be set from outside, and a function's name is no name for apptainer.
        odd = {k: v for k, v in container.env.items() if k == "HOME" or not k.isidentifier()}
        words += [container.root, "/usr/bin/env", *(f"{k}={v}" for k, v in odd.items())]
        env = {
            b"APPTAINERENV_" + to_bytes(name): to_bytes(value)
            for name, value in container.env.items()
            if name not in odd
        }
        env[b"PATH"] = os.fsencode(os.environ.get("PATH", os.defpath))
        env[b"HOME"] = os.fsencode(container.work)  # its caches must not fill the real one
        env[b"APPTAINER_MESSAGELEVEL"] = b"0"
        return Start(argv=[to_bytes(word) for word in (*words, *container.argv)], env=env)


KNOWN: Mapping[str, Runtime] = {"apptainer": Apptainer(), "bwrap": Bubblewrap()}


def choose(names: Sequence[str]) -> tuple[Optional[Runtime], str]:
    """The first usable runtime of those named, or None and what is wrong with each of them."""
    troubles = []
    for name in names:
        runtime = KNOWN.get(name)
        trouble = "not a runtime that we know" if runtime is None else runtime.trouble()
        if runtime is not None and trouble is None:
            return runtime, ""
        troubles.append(f"{name}: {trouble}")
    return None, "; ".join(troubles) or "no runtime named"


def _first_line(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PROBE_S
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.decode("utf-8", "replace").partition("\n")[0].strip()


def _trouble(argv: Sequence[str]) -> Optional[str]:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PROBE_S
        )
    except FileNotFoundError:
        return "not installed"
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return done.stderr.decode("utf-8", "replace").strip() or f"exits {done.returncode}"


def _root_view(root: str) -> list[str]:
    """Binds of the image's top directories: mount points may be missing in a read-only root."""
    options: list[str] = []
    for entry in sorted(os.scandir(root), key=lambda e: e.name):
        if entry.name in NOT_FROM_IMAGE:
            continue
        if entry.is_symlink():
            options += ["--symlink", os.readlink(entry.path), "/" + entry.name]
        elif entry.is_dir() or entry.is_file():
            options += ["--ro-bind", entry.path, "/" + entry.name]
    return options


def _gpus(env: dict[str, str]) -> list[str]:
    """Devices, and the driver's libraries in a directory of their own, named in ``env``."""
    options = [word for path in gpus.devices() for word in ("--dev-bind", path, path)]
    libraries = gpus.libraries()
    for name, path in libraries:
        options += ["--ro-bind", path, f"{_DRIVER}/{name}"]
    if libraries:
        others = env.get("LD_LIBRARY_PATH")
        env["LD_LIBRARY_PATH"] = f"{_DRIVER}:{others}" if others else _DRIVER
    return options


def _accounts(container: Container) -> list[str]:
    """passwd and group with the user in them: many programs ask who they are."""
    options: list[str] = []
    user = container.user if re.fullmatch(r"[A-Za-z0-9._-]+", container.user) else "user"
    lines = {
        "passwd": f"{user}:x:{os.getuid()}:{os.getgid()}::{container.home}:/bin/sh\n",
        "group": f"{user}:x:{os.getgid()}:\n",
    }
    for name, line in lines.items():
        known = os.path.join(container.root, "etc", name)
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(os.lstat(known).st_mode):
                continue
            ours = os.path.join(container.work, name)
            with open(known, encoding="utf-8", errors="surrogateescape") as stream:
                others = [entry for entry in stream if not entry.startswith(user + ":")]
            with open(ours, "w", encoding="utf-8", errors="surrogateescape") as out:
                out.write(line + "".join(others))
            options += ["--ro-bind", ours, f"/etc/{name}"]
    return options
