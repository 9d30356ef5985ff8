"""Which files a job needs, and a manifest of them that is true."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase, translate
from glob import escape
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

from burstd.agent.api import Denied
from burstd.agent.decks import closure, plainly
from burstd.agent.facts import sizes, unreadable
from burstd.agent.standin import StandIn
from burstd.agent.walk import Look, Real, directories_of, files_below, of_the_system
from burstd.agent.ways import UNFINISHED
from burstd.agent.words import directories, expand, words
from burstd.domain.data import Mark

#: Bounds of the fallback that sends a whole directory.
MOST_FILES, MOST_BYTES = 100_000, 200 * 2**30
BLOCK = 2**20
LONGEST_SCRIPT = 2**20
MOST_MATCHES = 10_000
MOST_DIRECTORIES = 10_000

#: Classes whose data may not go to a target, with their patterns.
Stays = Sequence[tuple[str, Sequence[str]]]


class NotStageable(Exception):
    """The inputs can't be sent as they are; the job stays."""


def find(
    look: Look,
    job: StandIn,
    resolver: str,
    stays: Stays = (),
    target: str = "",
    within: Sequence[str] | None = None,
) -> list[str]:
    """Absolute paths of the regular files to send, sorted.

    With resolver ``calculix``: decks that the script names, closed over their includes, and every
    other file or directory that it names. Where no deck is recognised, and for every other
    resolver: the whole working directory. Raises ``MissingInput`` or ``NotStageable``, as
    ``allowed`` does before anything of that file is read, and ``placed`` before anything is.
    """

    def first(path: Path) -> None:
        allowed([str(path)], stays, target)

    placed(job.directory, within, target)
    text = expand(_text(job.script), job.arguments, job.exports)
    text += "".join(f"\n{_called(path, job)}" for path in _scripts(text, job, first))
    bases = [job.directory]
    bases += [p for d in directories(text) if (p := _path(job.directory, d)).is_dir()]
    found, decks = set[str](), 0
    for base in dict.fromkeys(bases):
        for word in words(text, job.arguments):
            for path in _named(base, word, job.directory):
                if path.is_dir():
                    found.update(regular_files(look, path))
                    continue
                found.add(str(path))
                if resolver == "calculix" and path.suffix == ".inp":
                    decks += 1
                    found.update(map(str, closure(path, base, first)))
    if resolver != "calculix" or not decks:
        found.update(regular_files(look, job.directory))
    allowed(paths := sorted(found), stays, target)
    return paths


def _text(path: Path) -> str:
    return path.read_text(errors="surrogateescape")


def _scripts(text: str, job: StandIn, first: Callable[[Path], object]) -> Iterator[Path]:
    """Scripts of the user's that the batch script names: what they name is needed too."""
    for word in dict.fromkeys(words(text, job.arguments)):
        for path in _named(job.directory, word, job.directory):
            if path.is_file() and path.stat().st_size < LONGEST_SCRIPT:
                first(path)
                with path.open("rb") as file:
                    if file.read(2) == b"#!":
                        yield path


def _called(script: Path, job: StandIn) -> str:
    return expand(_text(script), (), job.exports)


def _path(base: Path, word: str) -> Path:
    return Path(os.path.normpath(base / word))


def _named(base: Path, word: str, home: Path) -> Iterator[Path]:
    """The word as a file, as a job name of ccx (``beam`` for ``beam.inp``), or as a directory."""
    if not word or len(word) > 4096 or "\0" in word or word.startswith(("-", "/dev/", "/proc/")):
        return
    if "*" in word or "?" in word:
        yield from _matching(base, word)
        return
    try:
        path = plainly(base / word)
        deck = plainly(base / f"{word}.inp") if path.name else path
        below = path.is_dir() and home in path.parents
        if below or (path.is_file() and not of_the_system(str(path))):
            yield path
        if deck.is_file():
            yield deck
    except OSError:  # a word that can't be a name: too long, a component that is a file
        return


def _matching(base: Path, pattern: str) -> Iterator[Path]:
    """Files of a pattern with at least two literal characters: ``*`` alone names nothing."""
    if len(pattern.replace("*", "").replace("?", "").strip("./")) < 2 or pattern.startswith("/"):
        return
    for suffix in ("", ".inp"):
        try:
            found = list(islice(base.glob(pattern + suffix), MOST_MATCHES))
        except (ValueError, OSError):
            return
        yield from (path for path in map(plainly, found) if path.is_file())


def hollow(look: Look, top: Path, files: Iterable[str], stays: Stays) -> list[tuple[str, int]]:
    """Directories below ``top`` that none of the files lies in, with their modes: a program that
    writes into one expects it. None of a class that stays, none that links lead to; of more than
    ``MOST_DIRECTORIES`` those nearest to ``top``."""
    made, found = directories_of(files), []
    waiting = [str(top)]
    while waiting:
        for seen in look.within(waiting.pop()):
            if stat.S_ISDIR(seen.mode):
                waiting.append(seen.path)
                if seen.path not in made:
                    found.append((seen.path, stat.S_IMODE(seen.mode)))
    found.sort(key=lambda one: (one[0].count("/"), one[0]))
    of_class = _classes(stays)
    return [one for one in found[:MOST_DIRECTORIES] if of_class(one[0]) is None]


def regular_files(look: Look, top: Path) -> Iterator[str]:
    """All below, also where links lead, but for results that are on their way there. Raises
    ``NotStageable``, and ``OSError``."""
    files, total = 0, 0
    for seen in files_below(look, str(top)):
        mode, size = seen.mode, seen.size
        if "/.burst-" in seen.path and UNFINISHED.fullmatch(seen.path.rpartition("/")[2]):
            continue
        if seen.is_link:  # one to a file is sent as the file
            if of_the_system(os.path.realpath(seen.path)):
                continue
            try:
                led = os.stat(seen.path)  # noqa: PTH116 - strings
            except OSError:
                continue  # it leads nowhere, here too
            mode, size = led.st_mode, led.st_size
        if not stat.S_ISREG(mode):
            continue
        files, total = files + 1, total + size
        if files > MOST_FILES or total > MOST_BYTES:
            raise NotStageable(
                f"{top} holds more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB: name "
                "the inputs in the script"
            )
        yield seen.path


def readable(paths: list[str]) -> list[str]:
    """The same, if we may read all of them: nothing is sent for a job that has to stay. Raises
    ``PermissionError``."""
    if (path := unreadable(paths)) is not None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return paths


def allowed(paths: Iterable[str], stays: Stays, target: str) -> None:
    """Raises ``NotStageable`` for the first file that is, or lies below, what a pattern names:
    under its own name, or where links lead."""
    of_class, real = _classes(stays), Real()
    for path in paths if stays else ():
        for name in dict.fromkeys((path, real.path(path))):
            if found := of_class(name):
                raise NotStageable(
                    f"the input {path} is of class {found}, whose data may not go to {target}"
                )


def placed(directory: Path, within: Sequence[str] | None, target: str) -> None:
    """Raises ``NotStageable`` where the job's directory is, where links lead, none of these, by
    which alone its data may go there."""
    real = os.path.realpath(directory)
    if within is None or any(
        fnmatchcase(real, glob) for one in within for glob in (one, _led(one))
    ):
        return
    raise NotStageable(
        f"{directory} is {real}, and no label says that the data there may go to {target}"
    )


def _led(glob: str) -> str:
    """The same where links lead in front of its first wildcard: /projects may be one."""
    wild = re.search(r"[*?[]", glob)
    fixed = glob[: wild.start()].rpartition("/")[0] if wild else glob
    return escape(os.path.realpath(fixed)) + glob[len(fixed) :] if fixed else glob


def announce(
    paths: Sequence[str],
    told: Callable[[str], Mapping[str, Any] | None],
    tell: Callable[[str, Mapping[str, Any]], None],
) -> None:
    """What is about to be sent, with its bytes: nobody may be left to tell how far it came. An
    earlier try may have sent what is no input any more. Raises ``Denied`` where there are too many
    names; a burstd that knows no such report goes without."""
    files = (told("leaving") or {}).get("files", {})
    try:
        tell("leaving", {"files": {**files, **dict(zip(paths, sizes(paths), strict=True))}})
    except Denied as error:
        if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise


def _classes(stays: Stays) -> Callable[[str], str | None]:
    """Of which class a file or directory is, or one that it lies in."""
    patterns = [(name, re.compile("|".join(map(translate, globs)))) for name, globs in stays]
    seen: dict[str, str | None] = {}

    def of_class(path: str) -> str | None:
        if path not in seen:
            own = next((name for name, pattern in patterns if pattern.match(path)), None)
            above = os.path.dirname(path)  # noqa: PTH120 - a hundred thousand of them
            seen[path] = own or (of_class(above) if above != path else None)
        return seen[path]

    return of_class


def marks(look: Look, roots: Iterable[Path]) -> dict[str, Mark]:
    """How every file below the output roots looks: what the landing may replace later."""
    found = {}
    for root in roots:
        for path, _, size, mtime_ns, inode in files_below(look, str(root), links=False):
            found[path] = Mark(size, mtime_ns, inode)
    return found
