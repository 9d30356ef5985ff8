"""The lab of a checkout.

Bring it up, take it down, reach its hosts. This is the module's front door.
"""

from __future__ import annotations

import base64
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import bucket, build, enrol, facts, layer, legacy, preflight, procs, pylib, pyslurm
from lab.bucket import Bucket
from lab.errors import LabError, NotUp
from lab.facts import HOSTS, OLD, RGW, SITES, Site
from lab.holders import INIT, Holders, cable
from lab.host import Host
from lab.paths import Paths
from lab.procs import Process
from lab.wan import Wan

Report = Callable[[str, float | None], None]
SPANK_PATH = "/opt/burstd-spank/burst_spank.so"
SERVING = {"idle", "mixed", "allocated", "completing"}


def silent(text: str, fraction: float | None) -> None:
    """A report that tells nobody."""


@dataclass(frozen=True)
class Lab:
    """One lab.

    All methods can be called from several processes; `up` and `down` wait for each other.
    """

    paths: Paths

    @classmethod
    def here(cls) -> Lab:
        """The lab of the checkout that this file is in; with `LAB=NAME` in the environment a
        further one, that shares nothing with it but what is slow to make."""
        name = os.environ.get("LAB", "")
        if name and not (name.isalnum() and name.isascii()):
            raise LabError(f"{name!r} is no name of a lab", "letters and digits, in LAB")
        return cls(Paths(Path(__file__).resolve().parent.parent, name))

    def up(self, report: Report = silent) -> None:
        """Bring the lab up and return when every node of both sites is idle.

        On a running lab: see that all services run, start those that don't, keep everything else.
        On what an interrupted run left: clear it away and start anew. Raises MachineLacks before
        anything is built, LabError if a step fails; what was started then stays for `down` or the
        next `up`.
        """
        preflight.check(self.paths)
        with self._lock():
            if self.is_up():
                report("the lab is up; looking after its services", None)
                self._serve(report)
            else:
                self._clear()
                with self._making():
                    build.Builder(self.paths, report).build()
                self._start(report)
            self._wait_idle()
            report("both sites are idle and wait for jobs", 1.0)

    def legacy_up(self, report: Report = silent) -> Host:
        """Start the legacy site (Slurm 22.05, all on one host) beside the running lab.

        Idempotent; `down` ends it with the rest. Raises NotUp if there is no lab.
        """
        if not self.is_up():
            raise NotUp("the lab is not up", "python -m lab up --legacy")
        with self._lock(), self._making():
            return legacy.up(self.paths, report)

    def bucket_up(self, report: Report = silent) -> Bucket:
        """Start the S3 server with its bucket in the cloud of the running lab.

        Idempotent; `down` ends it with the rest. Raises NotUp if there is no lab.
        """
        if not self.is_up():
            raise NotUp("the lab is not up", "python -m lab up --bucket")
        with self._lock(), self._making():
            return bucket.up(self.paths, self.host("login"), report)

    def bucket(self) -> Bucket:
        """Where the bucket is and how it is opened. Raises NotUp if it was not started."""
        return bucket.bucket(self.paths)

    def down(self, purge: bool = False) -> None:
        """End everything that belongs to the lab.

        Its files stay in build/lab/last; `purge` deletes all of build/lab.
        """
        if not self.paths.base.is_dir():
            return
        with self._lock():
            procs.wait_reaped(self._clear())
            if purge:
                for folder in self.paths.base.iterdir():
                    if folder.is_dir():
                        build.remove_tree(folder)

    def is_up(self) -> bool:
        """True if `up` once finished and no host has died since. Asks nothing of the services."""
        firsts = Holders(self.paths).load()
        complete = (self.paths.state / "complete").exists()
        return complete and len(firsts) == len(HOSTS) and all(p.alive() for p in firsts.values())

    def host(self, name: str) -> Host:
        """A host by name. Raises LabError for an unknown one, NotUp if there is no lab."""
        if name == OLD.name:
            return legacy.host(self.paths)
        if name == RGW.name:
            return bucket.host(self.paths)
        if name not in HOSTS:
            raise LabError(f"there is no host {name}", f"one of: {', '.join(HOSTS)}")
        first = Holders(self.paths).load().get(name)
        if first is None:
            raise NotUp("the lab is not up", "python -m lab up")
        return Host(HOSTS[name], first, self.paths)

    @property
    def wan(self) -> Wan:
        """The net between the sites."""
        return Wan(self.host("wan"))

    @property
    def slurm_headers(self) -> Path:
        """For `gcc -I`: the Slurm headers of the version that runs here (slurm/spank.h)."""
        return self.paths.trixie / "usr/include"

    def share(self, site: str, folder: str) -> Path:
        """Where the machine sees a path that all hosts of a site share: of onprem, /home/alice."""
        return self.paths.share(site, folder)

    def install_python(self, requirements: Sequence[str] | None = None) -> Path:
        """Install packages for the on-prem hosts' Python: burstd's own if none are named."""
        wanted = pylib.requirements(self.paths.checkout) if requirements is None else requirements
        with self._making():
            return pylib.install(self.paths, wanted)

    def install_pyslurm(self, report: Report = silent) -> str:
        """Make pyslurm for the Slurm that runs here; the interpreter that has it, on-prem.

        Needs the built roots, and half a minute the first time.
        """
        with self._lock(), self._making():
            return pyslurm.install(self.paths, report)

    def install_spank(self, so_path: Path) -> None:
        """Put the SPANK plugin on the proxy node, now and at every later `up`.

        The next job launch sees it.
        """
        content = so_path.read_bytes()
        self.paths.spank.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.paths.spank.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.rename(self.paths.spank)
        if self.is_up():
            self._put_spank()

    def health(self) -> list[str]:
        """What is wrong, in words; empty if all services run and all nodes serve."""
        problems = []
        for name in HOSTS:
            host = self.host(name)
            if not host.first.alive():
                problems.append(f"host {name} is gone")
                continue
            missing = [s for s in host.spec.services if not host.running(s)]
            problems += [f"{service} on {name} does not run" for service in missing]
        if not problems:
            for site in SITES.values():
                problems += self._troubled(site)
        return problems

    def container_runtimes(self) -> list[str]:
        """What the cloud nodes can start containers with."""
        return [
            name
            for name in ("apptainer", "bwrap")
            if (self.paths.trixie / "usr/bin" / name).exists()
        ]

    def _start(self, report: Report) -> None:
        report("starting the hosts", 0.1)
        pylib.write_metadata(self.paths.checkout, self.paths.run / "meta")
        keys = {site: os.urandom(1024) for site in SITES}
        layer.write_shares(self.paths)
        for host in HOSTS.values():
            layer.write_host(self.paths, host, keys.get(host.site, b""))
        firsts = Holders(self.paths).start()
        cable(firsts)
        self.wan.set()
        report("exchanging keys", 0.2)
        enrol.enrol(self.host("px"), self.host("login"))
        if self.paths.spank.exists():
            self._put_spank()
        self._serve(report)
        (self.paths.state / "complete").touch()

    def _serve(self, report: Report) -> None:
        """Start what does not run.

        Both sites at a time, in each the controller before the others.
        """
        with ThreadPoolExecutor(len(SITES)) as pool:
            for _ in pool.map(lambda site: self._serve_site(site, report), SITES.values()):
                pass

    def _serve_site(self, site: Site, report: Report) -> None:
        specs = [host for host in HOSTS.values() if host.site == site.name]
        for spec in sorted(specs, key=lambda host: host.name != site.controller):
            for service in spec.services:
                self.host(spec.name).start_service(service)
                report(f"{site.name}: {service} on {spec.name}", None)

    def _put_spank(self) -> None:
        px = self.host("px")
        # By rename: a slurmstepd that starts meanwhile must not load half a file.
        script = 'base64 -d | install -D -m 644 /dev/stdin "$1.new" && mv -f "$1.new" "$1"'
        content = base64.b64encode(self.paths.spank.read_bytes()).decode()
        px.run(["sh", "-c", script, "sh", SPANK_PATH], input=content)
        options = "agent=/usr/local/bin/burst-agent keep=/usr/local/bin/burst-keep"
        line = f"required {SPANK_PATH} {options}\n"
        px.write("/etc/slurm/plugstack.conf", line)

    def _troubled(self, site: Site) -> list[str]:
        names = [host.name for host in facts.members_of(site.name) if "slurmd" in host.services]
        asked = ["sinfo", "-h", "-N", "-o", "%N %T", "-n", ",".join(names)]
        done = self.host(site.controller).run(asked, check=False)
        if done.returncode:
            return [f"{site.name}: sinfo says {done.stderr.strip()}"]
        nodes = sorted({tuple(line.split()) for line in done.stdout.splitlines()})
        return [
            f"{site.name}: node {name} is {state}" for name, state in nodes if state not in SERVING
        ]

    def _wait_idle(self, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while problems := self.health():
            if time.monotonic() > end:
                raise LabError(
                    "the lab is not well: " + "; ".join(problems), "python -m lab status"
                )
            time.sleep(0.05)

    def _clear(self) -> list[Process]:
        """End all processes that are provably the lab's, and put its files aside."""
        ours = [process for process, _ in procs.marked(self.paths.base)]
        # The hosts' first processes before all: what is in a host dies with its first process.
        firsts = [process for process in ours if procs.name_of(process) == INIT]
        if stuck := procs.end(firsts) + procs.end(ours):
            raise LabError(f"these processes do not end: {', '.join(str(p.pid) for p in stuck)}")
        if self.paths.run.is_dir():
            build.remove_tree(self.paths.last)
            if mounted := procs.mounts_below(self.paths.run):
                raise LabError(
                    f"{mounted[0]} is a mount point", f"umount {mounted[0]}, then start again"
                )
            self.paths.run.rename(self.paths.last)
        return ours

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with _locked(self.paths.base / "lock"):
            yield

    @contextmanager
    def _making(self) -> Iterator[None]:
        """What the labs of a checkout share is made by one of them at a time."""
        with _locked(self.paths.made / "making"):
            yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
