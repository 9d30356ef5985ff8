"""Which results come home: all but what the profile calls scratch, or on demand, and not without
end."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from burstd.domain.data import OutputFile

#: Of one job: names of a million files take an agent a GB, and a directory server an hour.
MOST_RESULTS = 1_000_000
#: That stay at the target, and bytes of their names: all are told to burstd in one report.
MOST_STAYING, MOST_NAMES = 200_000, 16 * 2**20


def staying(
    entries: Iterable[OutputFile], directory: str, globs: Sequence[str], known: Container[str]
) -> list[OutputFile]:
    """Files that stay where they are until somebody asks for them; ``globs`` and ``known`` as for
    ``coming``. Those beyond what one report holds come home at once."""
    found, names = list[OutputFile](), 0
    for entry in entries:
        if entry.kind != "file" or not entry.blake3 or entry.path in known:
            continue
        if _matches(entry.path, directory, globs):
            names += len(entry.path)
            if len(found) == MOST_STAYING or names > MOST_NAMES:
                break
            found.append(entry)
    return found


def told(stay: Sequence[OutputFile], words: Mapping[str, Any], job: str) -> str:
    """A line about those, in burstd's ``words``."""
    size, days = sum(entry.size for entry in stay), words["on_demand"]["for"]
    what = f"{len(stay)} files, {size / 1e6:.1f} MB, stay at {words['target']} for {days}"
    return f"{what}: burst pull {job} lists them, and brings those that you name"


def coming(
    entries: Iterable[OutputFile], directory: str, scratch: Sequence[str], known: Container[str]
) -> tuple[list[OutputFile], str]:
    """Those that come, and a line about the others, if there are any. ``scratch``: globs on the
    path below the job's directory, in which ``*`` crosses directories; without a slash: on the
    name alone. A file that was there when the job left (``known``) always comes."""
    kept, left = list[OutputFile](), list[OutputFile]()
    for entry in entries:
        is_left = entry.path not in known and _matches(entry.path, directory, scratch)
        (left if is_left else kept).append(entry)
    kept = _named(kept)
    if len(kept) > MOST_RESULTS:
        many = f"of {len(kept)} results {MOST_RESULTS} were brought back: no job has more"
        return kept[:MOST_RESULTS], many
    if not left:
        return kept, ""
    files = [entry.size for entry in left if entry.kind == "file"]
    return kept, f"{len(files)} scratch files, {sum(files) / 1e6:.1f} MB, were not brought back"


def _named(kept: Sequence[OutputFile]) -> list[OutputFile]:
    """One more name of what does not come itself is the file: its bytes travel, and count."""
    there = {entry.path: entry.blake3 for entry in kept if not entry.target}
    found = list[OutputFile]()
    for entry in kept:
        if entry.kind == "file" and entry.target and there.get(entry.target) != entry.blake3:
            first = there.setdefault(f"{entry.target}\0{entry.blake3}", entry.path)
            entry = replace(entry, target="" if first == entry.path else first)
        found.append(entry)
    return found


def _matches(path: str, directory: str, globs: Sequence[str]) -> bool:
    below = path.removeprefix(f"{directory}/")
    name = PurePosixPath(path).name
    return any(fnmatchcase(below if "/" in glob else name, glob) for glob in globs)
