"""Makes what `up` needs and keeps it in `build/lab/cache`: roots, image, solver, small programs.

Each product is made beside its place and renamed into it when it is complete, so that an
interrupted build leaves nothing that looks finished. Each carries the digest of its recipe; an
equal digest means "there".
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import procs, recipe
from lab.errors import LabError
from lab.paths import Paths

Report = Callable[[str, float | None], None]

_PRIVATE_APT = """\
Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::Status "{folder}/status";
Dir::Cache "{folder}";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "-";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""
DEAD_ENDS = "look at the end of {log}; a failed download is worth a second try"


@dataclass(frozen=True)
class Builder:
    """Builds into one lab's cache. `report` gets a line for each step."""

    paths: Paths
    report: Report

    def build(self) -> None:
        """Make all that is missing or whose recipe changed. Raises LabError if a step fails."""
        self.paths.cache.mkdir(parents=True, exist_ok=True)
        self.paths.site_packages.mkdir(exist_ok=True)
        remove_tree(self._scratch)
        self._scratch.mkdir()
        # The machine may have two cores only: two chains, each with one heavy process at a time.
        with ThreadPoolExecutor(2) as pool:
            chains = [pool.submit(self._hosts), pool.submit(self._application)]
            try:
                self._programs()
                for chain in chains:
                    chain.result()
            except KeyboardInterrupt:
                # Leaving the pool waits for its threads, and they wait for their programs.
                procs.end([process for process, host in procs.marked(self.paths.base) if not host])
                raise

    def legacy(self) -> None:
        """Make the legacy site's root if it is missing or its recipe changed."""
        self._on_demand("legacy", recipe.LEGACY_ROOT, "debian 12 with slurm 22.05")

    def rgw(self) -> None:
        """Make the S3 server's root if it is missing or its recipe changed."""
        self._on_demand("rgw", recipe.RGW_ROOT, "debian 13 with ceph's radosgw")

    def _on_demand(self, name: str, root: recipe.Root, what: str) -> None:
        if not self._there(name, root.digest()):
            self.report(f"{what} (about a minute)", None)
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._make_root(name, root, root.digest())

    @property
    def _scratch(self) -> Path:
        return self.paths.cache / "tmp"

    def _hosts(self) -> None:
        root = recipe.HOST_ROOT
        if self._there("trixie", root.digest()):
            return
        deb = self._fetch_apptainer()
        self.report("debian 13 with slurm, for all hosts (about a minute)", None)
        hooks = tuple(hook.format(deb=deb) if "{deb}" in hook else hook for hook in root.hooks)
        final = recipe.Root(root.suite, root.packages, hooks)
        self._make_root("trixie", final, root.digest())

    def _application(self) -> None:
        root = recipe.IMAGE_ROOT
        if not self._there("bookworm", root.digest()):
            self.report("debian 12 with calculix, for the image", None)
            self._make_root("bookworm", root, root.digest())
        self._solver(root.digest())
        self._image(hashlib.sha256(repr((root, recipe.IMAGE_LEFT_OUT)).encode()).hexdigest()[:16])

    def _make_root(self, name: str, root: recipe.Root, digest: str) -> None:
        fresh = self.paths.cache / f"{name}.new"
        remove_tree(fresh)
        self._run(name, root.argv(fresh, recipe.mirror()))
        self._put(name, fresh, digest)

    def _fetch_apptainer(self) -> Path:
        """Debian has apptainer in sid only.

        Fetch the one package with an apt setting of our own.
        """
        folder = self.paths.cache / "apptainer"
        remove_tree(folder)
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True)
        target = folder / "apptainer.deb"
        archive = recipe.mirror()
        if not archive:
            return target
        self.report("apptainer from debian sid", None)
        (folder / "sources.list").write_text(
            f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {archive} sid main\n"
        )
        (folder / "status").touch()
        (folder / "apt.conf").write_text(_PRIVATE_APT.format(folder=folder))
        script = "apt-get update -q && apt-get download -q apptainer && mv *.deb apptainer.deb"
        config = {"APT_CONFIG": f"{folder}/apt.conf"}
        # An index newer than the pool answers 404: that is no reason to have no lab.
        try:
            self._run("apptainer", ["sh", "-c", script], cwd=folder, **config)
        except LabError as error:
            self.report(f"no apptainer ({error}); bubblewrap is the container runtime", None)
        shutil.rmtree(folder / "lists")
        return target

    def _solver(self, digest: str) -> None:
        """ccx with its libraries and its own loader in one folder.

        It runs on Debian 13 as on Debian 12.
        """
        if self._there("ccx", digest):
            return
        source, fresh = self.paths.cache / "bookworm", self.paths.cache / "ccx.new"
        remove_tree(fresh)
        (fresh / "bin").mkdir(parents=True)
        (fresh / "lib").mkdir()
        listed = self._run("ldd", ["chroot", str(source), "ldd", "/usr/bin/ccx"])
        shutil.copy(source / "usr/bin/ccx", fresh / "bin/ccx")
        names = [word for word in listed.split() if word.startswith("/")]
        # Links in the root are absolute: they must be followed by somebody inside it.
        real = self._run("ldd", ["chroot", str(source), "realpath", *names]).split()
        for name, path in zip(names, real, strict=True):
            shutil.copy(source / path.lstrip("/"), fresh / "lib" / Path(name).name)
        self._put("ccx", fresh, digest)

    def _image(self, digest: str) -> None:
        target, stamp = self.paths.images / "calculix.sqfs", self.paths.images / "calculix.recipe"
        if target.exists() and _text(stamp) == digest:
            return
        self.report("image calculix.sqfs", None)
        self.paths.images.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        self._run("image", [
            "mksquashfs", str(self.paths.cache / "bookworm"), str(fresh), "-comp", "zstd",
            "-Xcompression-level", "3", "-quiet", "-no-progress", "-wildcards", "-all-time", "0",
            "-e", *recipe.IMAGE_LEFT_OUT,
        ])  # fmt: skip
        fresh.rename(target)
        stamp.write_text(digest)

    def _programs(self) -> None:
        sources = sorted(self.paths.native.glob("*.c"))
        content = b"".join(source.read_bytes() for source in sources)
        digest = hashlib.sha256(content).hexdigest()[:16]
        if self._there("bin", digest):
            return
        fresh = self.paths.cache / "bin.new"
        remove_tree(fresh)
        fresh.mkdir()
        for source in sources:
            # Static: they run under the machine's C library and under that of the hosts' root.
            out = str(fresh / source.stem)
            self._run("bin", ["gcc", "-O2", "-Wall", "-static", "-o", out, str(source)])
        self._put("bin", fresh, digest)

    def _run(self, name: str, argv: Sequence[str], cwd: Path | None = None, **env: str) -> str:
        return run(self.paths, name, argv, cwd, TMPDIR=str(self._scratch), **env)

    def _there(self, name: str, digest: str) -> bool:
        stamp = self.paths.cache / f"{name}.recipe"
        return (self.paths.cache / name).is_dir() and _text(stamp) == digest

    def _put(self, name: str, fresh: Path, digest: str) -> None:
        target, stamp = self.paths.cache / name, self.paths.cache / f"{name}.recipe"
        stamp.unlink(missing_ok=True)
        remove_tree(target)
        fresh.rename(target)
        stamp.write_text(digest)


def run(paths: Paths, name: str, argv: Sequence[str], cwd: Path | None = None, **env: str) -> str:
    """Run one build command.

    Its output goes to a log of this name. Raises LabError if it fails.
    """
    log = paths.cache / f"{name}.log"
    mark = {procs.MARK: str(paths.base)}
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, "LC_ALL": "C.UTF-8", **mark, **env}, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    )  # fmt: skip
    log.write_text(done.stdout)
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise LabError(f"building {name}: {argv[0]} failed: {last}", DEAD_ENDS.format(log=log))
    return done.stdout


def remove_tree(folder: Path) -> None:
    """Delete a folder.

    Nothing if it is not there. Raises LabError rather than reach into a mount below it.
    """
    if mounted := procs.mounts_below(folder):
        raise LabError(f"{mounted[0]} is a mount point", f"umount {mounted[0]}, then start again")
    if folder.is_dir():
        shutil.rmtree(folder)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
