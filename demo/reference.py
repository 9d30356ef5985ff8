"""What the study's results must be: the same scripts run on-prem, without burstd.

CalculiX is deterministic on one thread, so the reference is kept and made again only when the
study, the solver or the way of comparing changes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.people import Alice
from demo.study import Study, files
from lab.lab import Lab

PLACE = "/home/alice/reference"

#: What differs from run to run by its nature: dates and times that CalculiX writes.
DATES = re.compile(rb"^ *1U(?:DATE|TIME) .*$|^ *Total CalculiX Time: .*$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One file or directory: kind, permission bits, digest of what may be compared."""

    kind: str
    mode: int
    digest: str = ""


Tree = Mapping[str, Entry]


def read_tree(top: Path) -> dict[str, Entry]:
    """All entries below ``top``; never through a link."""
    found = {}
    for path in sorted(top.rglob("*")):
        seen = path.lstat()
        name = str(path.relative_to(top))
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = Entry("other", seen.st_mode & 0o777)
        elif path.is_dir():
            found[name] = Entry("dir", seen.st_mode & 0o777)
        else:
            digest = hashlib.sha256(DATES.sub(b"", path.read_bytes())).hexdigest()
            found[name] = Entry("file", seen.st_mode & 0o777, digest)
    return found


def reference(lab: Lab, study: Study, keep: Path) -> Tree:
    """The tree that the study leaves when all of it runs on-prem."""
    jobs = tuple(job for job in study.jobs if not job.cancelled)
    recipe = json.dumps([files(), [repr(job) for job in jobs], DATES.pattern.decode()], default=str)
    image = (lab.paths.images / "calculix.recipe").read_text()
    stamp = hashlib.sha256((recipe + image).encode()).hexdigest()[:16]
    kept = keep / f"reference-{stamp}.json"
    if kept.exists():
        return {name: Entry(**entry) for name, entry in json.loads(kept.read_text()).items()}
    alice = Alice(lab, PLACE)
    alice.unpack(study.jobs)
    ctl = lab.host("ctl")
    for job in jobs:
        alice.submit(job)
    last = ["sbatch", "--wait", "-d", f"afterany:{':'.join(alice.ids.values())}"]
    ctl.run([*last, "-o", "/dev/null", "--wrap", "true"], user="alice", timeout=300)
    top = lab.share("onprem", PLACE)
    tree = read_tree(top)
    shutil.rmtree(top)
    keep.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({name: vars(entry) for name, entry in tree.items()}))
    return tree
