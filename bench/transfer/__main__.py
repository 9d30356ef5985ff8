"""``python -m bench.transfer``: how fast inputs travel, against rsync's daemon and a bare pipe.

Over a wire of this machine at several settings. Needs root, rsync and gcc; all trees are compared.
Ours speaks plainly over TCP here, as rsync's daemon does: encryption is the link's business. Other
tools take part where they are installed (Debian: openssh-server, rclone, restic); a setting with a
tunnel needs wireguard-go and wireguard-tools.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.transfer import decks
from bench.transfer.far import python
from bench.transfer.peers import PEERS, Peer
from bench.transfer.tools import COMPRESSED, Bench, Cost, same, several
from bench.transfer.wire import Setting, wire
from burstd.far.chunks import blake3
from burstd.far.pack import build

SETTINGS = (
    Setting("unlimited"),
    Setting("1 Gbit/s 10 ms", 1000, 10),
    Setting("100 Mbit/s 30 ms", 100, 30),
    Setting("1 Gbit/s 10 ms, tunnel", 1000, 10, tunnel=True),
)
CASES = ("small", "large", "resync", "nochange", "study", "wide", "results")
NARROW = 2**29  #: bytes of memory that are touched before each of hundreds of small jobs
#: The best of rsync's ways that brings a study right: without -c it takes files for others'.
RECIPE = "rsync -azc --copy-dest"
Row = tuple[str, str, Cost]  #: case, tool, what it cost


def cold(bench: Bench, name: str, peers: Sequence[Peer]) -> Iterator[Row]:
    """Nothing is there yet."""
    source = decks.made(bench.scratch, name)
    bench.fresh()
    yield name, "pipe", bench.pipe(source)
    for tool, options in (("rsync -a", ("-a",)), ("rsync -az", COMPRESSED)):
        bench.fresh()
        yield name, tool, bench.rsync(options, source, "d")
        same(source, bench.there / "d")
    for peer in peers:
        bench.fresh()
        peer.ready(bench)
        yield name, peer.name, peer.push(bench, source, "d")
        if peer.tree:
            same(source, bench.there / "d")
    bench.fresh()
    yield name, "burstd", bench.ours(source, "b1")
    same(source, bench.tree("b1", source))


def _changing(bench: Bench) -> Path:
    source = bench.scratch / "changing"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(decks.made(bench.scratch, "large"), source)
    for name in ("d3plot02", "d3plot03"):
        (source / name).unlink()
    return source


def resync(bench: Bench, peers: Sequence[Peer]) -> Iterator[Row]:
    """A GiB is there; one part in a hundred is new: at its end, in it, over it."""
    for change in (decks.append, decks.insert, decks.overwrite):
        for peer in peers:
            source = _changing(bench)
            bench.fresh()
            peer.ready(bench)
            peer.push(bench, source, "d")
            for path in sorted(source.iterdir()):
                change(path)
            yield f"resync {change.__name__}", peer.name, peer.push(bench, source, "d")
        source = _changing(bench)
        bench.fresh()
        bench.rsync(COMPRESSED, source, "d")
        bench.ours(source, "b1")
        for path in sorted(source.iterdir()):
            change(path)
        case = f"resync {change.__name__}"
        yield case, "rsync -az", bench.rsync(COMPRESSED, source, "d")
        yield case, "burstd", bench.ours(source, "b2")
        same(source, bench.there / "d")
        same(source, bench.tree("b2", source))
        shutil.rmtree(source)


def nochange(bench: Bench) -> Iterator[Row]:
    """20,000 files that are there already; as a new job, they have to be laid out once more."""
    source = decks.made(bench.scratch, "small")
    bench.fresh()
    bench.rsync(("-a",), source, "d")
    bench.ours(source, "b1")
    time.sleep(3)  # what was written in the last moments is not believed in, at either end
    bench.ours(source, "b1")
    yield "no change", "rsync -a", bench.rsync(("-a",), source, "d")
    yield "no change", "burstd", bench.ours(source, "b1")
    yield "no change, new job", "rsync -a", bench.rsync(("-a",), source, "e")
    yield "no change, new job", "burstd", bench.ours(source, "b2")


def study(bench: Bench, name: str, peers: Sequence[Peer]) -> Iterator[Row]:
    """Twenty jobs, or two hundred: each by a program of its own, one after the other or at once;
    and all of them by one."""
    source = decks.made(bench.scratch, name)
    jobs = sorted(source.iterdir())
    correct = ("-azc", "--zc=zstd", "--zl=1", "--copy-dest=../job000")
    for tool, options in (("rsync -az", COMPRESSED), (RECIPE, correct)):
        bench.fresh()
        alone = several([bench.rsync(options, job, job.name) for job in jobs])
        yield name, tool, alone
        same(source, bench.there)
    for peer in peers if name == "study" else ():
        bench.fresh()
        peer.ready(bench)
        yield name, peer.name, several([peer.push(bench, job, job.name) for job in jobs])
        if peer.tree:
            same(source, bench.there)
    bench.fresh()
    yield name, "burstd", several([bench.ours(job, job.name) for job in jobs])
    _studied(bench, jobs)
    bench.fresh()
    yield f"{name}, one push", RECIPE, alone
    yield f"{name}, one push", "burstd", bench.ours(source, "b1")
    same(source, bench.tree("b1", source))
    if name == "study":
        bench.fresh()
        first, rest = jobs[0], {job.name: job for job in jobs[1:]}
        at_once = [bench.rsync(correct, first, first.name), bench.rsyncs(correct, rest)]
        yield f"{name}, at once", RECIPE, several(at_once)
        same(source, bench.there)
        bench.fresh()
        yield f"{name}, at once", "burstd", bench.all_ours({job.name: job for job in jobs})
        _studied(bench, jobs)


def _studied(bench: Bench, jobs: Sequence[Path]) -> None:
    for job in jobs:
        same(job, bench.tree(job.name, job))


def results(bench: Bench) -> Iterator[Row]:
    """20,000 small files come home, each on the disk before it counts; rsync does so if told to."""
    source = decks.made(bench.scratch, "small")
    home, listing = bench.scratch / "home", bench.scratch / "listing.json"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(source, home)
    bench.fresh()
    bench.rsync(("-a",), home, "d")
    bench.ours(home, "b1")
    listing.write_text(
        json.dumps([_result(path) for path in sorted(home.rglob("*")) if path.is_file()])
    )
    for tool, options in (
        ("rsync -a", ("-a",)),
        ("rsync -az", COMPRESSED),
        ("rsync -az --fsync", (*COMPRESSED, "--fsync")),
    ):
        shutil.rmtree(home)
        home.mkdir()
        yield "results", tool, bench.rsync_home(options, "d", home)
        same(source, home)
    shutil.rmtree(home)
    home.mkdir()
    yield "results", "burstd", bench.ours_home(home, "b1", listing)
    same(source, home)


def _result(path: Path) -> tuple[str, str, int, str, int, int]:
    fact = path.stat()
    return str(path), "file", fact.st_size, blake3(path.read_bytes()).hex(), fact.st_mtime_ns, 0o644


def rows(bench: Bench, cases: Sequence[str], peers: Sequence[Peer]) -> Iterator[Row]:
    """All that was asked for."""
    for case in cases:
        bench.touched = NARROW if case == "wide" else Bench.touched
        if case in {"study", "wide"}:
            yield from study(bench, case, peers)
        elif case in decks.DECKS:
            yield from cold(bench, case, peers)
        elif case == "resync":
            yield from resync(bench, peers)
        else:
            yield from (nochange if case == "nochange" else results)(bench)


def _there(names: Sequence[str]) -> list[Peer]:
    """Of those that are wanted; of the others a line says what they lack."""
    found = []
    for peer in PEERS:
        if names and peer.name not in names:
            continue
        if peer.lacking:
            sys.stderr.write(f"without {peer.name}: {', '.join(peer.lacking)} is not installed\n")
        else:
            found.append(peer)
    return found


def main(argv: Sequence[str]) -> int:
    """0 once all is measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.transfer", description=__doc__)
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm/burst-bench"))  # noqa: S108
    parser.add_argument("--setting", action="append", choices=[s.name for s in SETTINGS])
    parser.add_argument("--case", action="append", choices=CASES)
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peer", action="append", choices=[*names, "none"], help="default: all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    options.scratch.mkdir(parents=True, exist_ok=True)
    program = options.scratch / "burst-far.pyz"
    build(program)
    # As whoever lays it down at a target does.
    subprocess.run([*python(str(program)), "compile"], check=True)
    peers = _there(options.peer or [])
    for setting in SETTINGS:
        if setting.name not in (options.setting or [s.name for s in SETTINGS if not s.tunnel]):
            continue
        with wire(setting, options.scratch) as found:
            best: dict[str, Cost] = {}
            bench = Bench(found, options.scratch)
            bench.compiled()
            for case, tool, cost in rows(bench, options.case or CASES, peers):
                _tell(setting, case, tool, cost, best, options.json)
    return 0


def _tell(
    setting: Setting, case: str, tool: str, cost: Cost, best: dict[str, Cost], as_json: bool
) -> None:
    """A line; ratios to the best of the others so far, a bare pipe left out."""
    if as_json:
        found = {"setting": setting.name, "case": case, "tool": tool, **vars(cost)}
        sys.stdout.write(json.dumps(found) + "\n")
        return
    line = (
        f"{setting.name:<17} {case:<20} {tool:<23} {cost.seconds:7.2f} s {cost.wire / 1e6:9.1f} MB"
    )
    if tool == "burstd":
        peer = best[case]
        ratios = cost.seconds / peer.seconds, cost.wire / peer.wire
        line += f"  {ratios[0]:.2f} of the best's time, {ratios[1]:.2f} of its bytes"
    elif tool != "pipe":
        known = best.get(case, cost)
        best[case] = Cost(min(known.seconds, cost.seconds), min(known.wire, cost.wire))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
