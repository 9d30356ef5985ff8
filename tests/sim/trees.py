"""Results as a hostile or broken far end may list them, drawn from a seed, and what must hold
whatever it says: nothing outside the job's directory, nothing special in it, the rest landed."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import blake3

from burstd.agent.agent import Agent
from burstd.agent.api import Denied
from burstd.agent.arrivals import ASIDE
from burstd.agent.inputs import marks
from burstd.agent.memory import Memory, to_report
from burstd.agent.meter import Metered
from burstd.agent.standin import StandIn
from burstd.agent.walk import Look
from burstd.domain.data import OutputFile
from burstd.ports.depot import Came, Ended, Growing
from burstd.ports.errors import Mismatch, Transient

MTIME = 1_700_000_000_000_000_000
ROUNDS = ASIDE + 6
OTHERWISE = blake3.blake3(b"otherwise").hexdigest()


@dataclass
class Listed:
    """One line of the end record. ``good``: it must land just so."""

    entry: OutputFile
    content: bytes
    good: bool = True


def _entry(path: str, content: bytes, mode: int = 0o640) -> OutputFile:
    digest = blake3.blake3(content).hexdigest()
    return OutputFile(path, "file", len(content), digest, MTIME, mode)


@dataclass
class World:
    """``home`` is the job's directory; ``outside`` must stay as it is."""

    dice: Random
    home: Path
    outside: Path
    listed: list[Listed] = field(default_factory=list)
    #: What happens on-prem while results come, by the number of the fetch.
    meanwhile: dict[int, Callable[[], object]] = field(default_factory=dict)

    def prepare(self) -> None:
        """What is there before the job leaves."""
        for name in ("secret.txt", "dir/deep.txt"):
            path = self.outside / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"precious")
        (self.home / "sub").mkdir()
        (self.home / "input.dat").write_bytes(b"input")
        (self.home / "restart.dat").write_bytes(b"before")
        (self.home / "link").symlink_to(self.outside)
        (self.home / "file-link").symlink_to(self.outside / "secret.txt")
        os.mkfifo(self.home / "pipe")

    def draw(self) -> None:
        """A list of results, most of them as they should be."""
        for n in range(self.dice.randint(2, 8)):
            content = self._content()
            mode = self.dice.choice((0o600, 0o640, 0o755, 0o444, 0o4755, 0o2755, 0o7777))
            self.listed.append(
                Listed(_entry(f"{self.home}/{self._name(n)}", content, mode), content)
            )
        for n in range(self.dice.randint(1, 8)):
            self.listed += self.dice.choice(HOSTILE)(self, n)
        self.dice.shuffle(self.listed)

    def _content(self) -> bytes:
        kind = self.dice.randrange(4)
        if kind == 0:
            return b""
        if kind == 1:
            return bytes(self.dice.randint(1, 200_000))
        return self.dice.randbytes(self.dice.randint(1, 3000))

    def _name(self, n: int) -> str:
        return self.dice.choice(
            (f"out{n}.frd", f"sub/a{n}.dat", f"new/{n}/b.dat", f"new line{n}\n.txt",
             f"{n}\udcff\udcfe", f"{n}" + "x" * 250, f"{n} -rf *", f"Case{n}", f"case{n}",
             f"sub/{n}\x1b[2J", "restart.dat", f"...{n}", f"{n}'\"$(touch x)`")
        )  # fmt: skip


def _bad(world: World, path: str, **changes: Any) -> list[Listed]:
    content = b"hostile"
    return [Listed(replace(_entry(path, content), **changes), content, good=False)]


def _leads_out(world: World, n: int) -> list[Listed]:
    path = world.dice.choice(
        ("{home}/../outside/x", "{out}/x", "{home}/a/../../outside/x", "../x", "x", "", "/",
         "{home}", "{home}/", "{home}/.", "{home}/..", "{home}/link/x", "{home}/link/secret.txt",
         "{home}/link/dir/deep.txt", "{home}/file-link/x", "{home}/pipe/x", "{home}/a\0b",
         "/proc/self/cwd/x", "/etc/passwd", "//{home}/../x", "{home}//..//outside/x")
    )  # fmt: skip
    return _bad(world, path.format(home=world.home, out=world.outside))


def _onto_special(world: World, n: int) -> list[Listed]:
    name = world.dice.choice(("file-link", "pipe", "link", "sub"))
    return _bad(world, f"{world.home}/{name}")


def _startup(world: World, n: int) -> list[Listed]:
    name = world.dice.choice((".ssh/authorized_keys", ".bashrc", "sub/.git/hooks/post-commit"))
    return _bad(world, f"{world.home}/{name}")


def _kind(world: World, n: int) -> list[Listed]:
    kind = world.dice.choice(("symlink", "fifo", "socket", "device", "deep", "hardlink", ""))
    return _bad(world, f"{world.home}/kind{n}", kind=kind)


def _link(world: World, n: int) -> list[Listed]:
    """Links that lead elsewhere, or onto what is there."""
    target = world.dice.choice(
        ("/etc/passwd", "../outside/secret.txt", "a/../../outside", "", ".ssh/authorized_keys",
         "sub/.git/config", "x" * 5000, "a\0b", str(world.outside), "..", "sub/..")
    )  # fmt: skip
    return _bad(world, f"{world.home}/link{n}", kind="symlink", target=target)


def _good_link(world: World, n: int) -> list[Listed]:
    """Below its directory; and more results through it, which are refused."""
    entry = OutputFile(f"{world.home}/latest{n}", "symlink", target="sub")
    return [Listed(entry, b"", good=True), *_bad(world, f"{world.home}/latest{n}/through")]


def _named(world: World, n: int) -> list[Listed]:
    """Said to be one more name of something else: its own bytes land, whatever that is."""
    others = [f"{world.home}/{name}" for name in ("input.dat", "file-link", "link/secret.txt", "")]
    others += [f"{world.outside}/secret.txt", "/etc/passwd", *(o.entry.path for o in world.listed)]
    content = world.dice.choice((b"named", *(one.content for one in world.listed)))
    entry = replace(_entry(f"{world.home}/named{n}", content), target=world.dice.choice(others))
    return [Listed(entry, content)]


def _lies(world: World, n: int) -> list[Listed]:
    changes = world.dice.choice(
        ({"size": 0}, {"size": 10**6}, {"size": 2**70}, {"size": 3}, {"blake3": "00" * 32},
         {"blake3": ""}, {"blake3": "no digest"}, {"size": -1})
    )  # fmt: skip
    return _bad(world, f"{world.home}/lie{n}", **changes)


def _odd(world: World, n: int) -> list[Listed]:
    """Odd, and no reason to refuse it."""
    mtime = world.dice.choice((2**70, -(2**70), 0, -1, 2**62))
    content = b"odd"
    entry = replace(_entry(f"{world.home}/odd{n}", content), mtime_ns=mtime, mode=0o177777)
    return [Listed(entry, content)]


def _long(world: World, n: int) -> list[Listed]:
    name = world.dice.choice(("y" * 256, "/".join(["d"] * 2100), "/".join(["e" * 200] * 30)))
    return _bad(world, f"{world.home}/{name}")


def _twice(world: World, n: int) -> list[Listed]:
    """One name two times, a file that is a directory too."""
    return [
        *_bad(world, f"{world.home}/twice{n}"),
        *_bad(world, f"{world.home}/twice{n}", size=9, blake3=OTHERWISE),
        *_bad(world, f"{world.home}/twice{n}/below"),
        *_bad(world, f"{world.home}/twice{n}", kind="dir", mode=0o7777),
    ]  # fmt: skip


def _turned(world: World, n: int) -> list[Listed]:
    """While its bytes come a directory of its way becomes a link to elsewhere."""
    name = f"turn{n}"

    def turn() -> None:
        place = world.home / name
        with contextlib.suppress(OSError):  # others make directories meanwhile
            if place.is_dir() and not place.is_symlink():
                place.rename(world.home / f"{name}-was")
                place.symlink_to(world.outside)

    for fetch in range(40):
        world.meanwhile.setdefault(fetch, turn)
    return [one for k in range(3) for one in _bad(world, f"{world.home}/{name}/x{k}")]


HOSTILE: Sequence[Callable[[World, int], list[Listed]]] = (
    _leads_out, _leads_out, _onto_special, _startup, _kind, _lies, _lies, _odd, _long, _twice,
    _link, _good_link, _named, _named,
    _turned,
)  # fmt: skip


class Depot:
    """The far end: what it lists, and what comes of that."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._fetches = 0

    def growing(self) -> Growing:
        return Growing()

    def outputs(self, _secret: str) -> Ended:
        return Ended([one.entry for one in self._world.listed], exit_code=0)

    def expect(self, entries: Sequence[OutputFile]) -> None: ...

    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None:
        self._world.meanwhile.get(self._fetches, lambda: None)()
        self._fetches += 1
        said = replace(entry, target="")  # which other names a file has is for the landing
        content = next(one.content for one in self._world.listed if said in (
            replace(one.entry, target=""), replace(one.entry, target="", blake3="")
        ))  # fmt: skip
        os.ftruncate(into, 0)
        os.pwrite(into, content[: max(0, entry.size)], 0)
        came(len(content))
        if len(content) < entry.size:
            raise Mismatch(f"{entry.path} ends after {len(content)} of {entry.size} bytes")


class Api:
    """burstd, as far as a landing speaks with it."""

    def __init__(self, staged: Mapping[str, Any]) -> None:
        self.reports: dict[str, Any] = {"staged_in": staged}

    def get(self, route: str) -> Any:
        kind = route.rpartition("/")[2]
        if kind not in self.reports:
            raise Denied(404, "no report")
        return self.reports[kind]

    def post(self, route: str, body: Mapping[str, Any]) -> Any:
        self.reports[body["kind"]] = body["body"]


def land(world: World, private: Path) -> Mapping[str, Any] | None:
    """The agent's own way, as often as it takes: its last report."""
    staged = to_report([], marks(Look(), [world.home]), [str(world.home)])
    api: Any = Api({**staged, "secret": "00"})
    depot: Any = Depot(world)
    job = StandIn("1", 0, private, (), world.home, {}, merged=False)
    agent = Agent(job, api, Memory(private), None, None)  # type: ignore[arg-type]
    words: dict[str, Any] = {"burst": "b1", "most_bytes": None, "links": True}
    words |= {"scratch": ["*.scratch"], "on_demand": {"globs": [], "for": ""}}
    for _ in range(ROUNDS):
        try:
            agent._stage_out(words, Metered(depot, agent.memory, None))
        except (Transient, OSError):
            continue
        report: Mapping[str, Any] = api.reports["staged_out"]
        return report
    return None


def tried(seed: int) -> list[str]:
    """What is wrong; nothing, as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for name in ("home", "outside", "private"):
            (top / name).mkdir()
        world = World(Random(seed), top / "home", top / "outside")
        world.prepare()
        world.draw()
        before = _seen(world.outside)
        report = land(world, top / "private")
        return list(_wrong(world, before, report))


#: What was there before.
OURS = frozenset({"link", "file-link", "pipe"})


def _wrong(
    world: World, before: Mapping[str, Any], report: Mapping[str, Any] | None
) -> Iterator[str]:
    if report is None:
        yield "it never ends"
    beside = {path.name for path in world.home.parent.iterdir()}
    if before != _seen(world.outside) or beside != {"home", "outside", "private"}:
        yield "something outside has changed"
    for path in _walk(world.home):
        yield from _odd_one(path)
    if (world.home / "input.dat").read_bytes() != b"input":
        yield "an input has changed"
    names = [one.entry.path for one in world.listed]
    for one in world.listed:
        if one.good and names.count(one.entry.path) == 1:
            yield from _good(one)
        elif one.entry.kind not in {"file", "dir"} and Path(one.entry.path).exists():
            yield f"{one.entry.path!r} has landed as something else"


def _odd_one(path: Path) -> Iterator[str]:
    mode = path.lstat().st_mode
    if stat.S_IMODE(mode) & 0o7000:
        yield f"{path.name!r} has special bits"
    plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    if not plain and path.name not in OURS and not path.name.startswith(("turn", "latest")):
        yield f"{path.name!r} is special"
    if path.name.startswith(".burst-"):
        yield f"{path.name!r} was left"


def _good(one: Listed) -> Iterator[str]:
    path = Path(one.entry.path)
    if one.entry.kind == "symlink":
        if path.exists() and not (path.is_symlink() and path.readlink() == Path("sub")):
            return  # its own name was needed for a directory: which of both comes first is chance
        if not path.is_symlink():
            yield f"{path.name!r} did not land"
        return
    if not path.is_file() or path.read_bytes() != one.content:
        yield f"{path.name!r} did not land"
    elif stat.S_IMODE(path.stat().st_mode) != one.entry.mode & 0o777:
        yield f"{path.name!r} has another mode"


def _walk(top: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(top):
        yield from (Path(directory, name) for name in (*below, *names))


def _seen(top: Path) -> dict[str, Any]:
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in _walk(top)
    }
