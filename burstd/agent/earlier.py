"""Output that an earlier stand-in of the same burst has written, where Slurm goes on with the file
(`--open-mode=append`, `JobFileAppend=1`): its memory went with its machine, the bytes are there.

burstd keeps where the file ended before the first of them; from there on it is held against what
the far end has. Between two of ours may stand lines of Slurm's and our own words.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any

from burstd.agent.memory import Memory
from burstd.far.windows import fill
from burstd.ports.depot import Growing
from burstd.ports.errors import Rejected

STREAMS = {"stdout": 1, "stderr": 2}
BLOCK = 2**20
LONGEST = 64 * 2**10  #: bytes of a line that is looked at
#: How lines begin that come from neither job.
_OTHERS = (b"slurmstepd: ", b"burstd: ")

#: Bytes of a stream from there on, at most so many.
Read = Callable[[str, int, int], bytes]


def begin(
    memory: Memory,
    told: Mapping[str, Any] | None,
    tell: Callable[[Mapping[str, Any]], None],
    now: Growing,
    read: Read,
) -> None:
    """Before the first byte that this stand-in writes: where it goes on. ``told``: what the first
    one has told of the files. Raises as ``positions`` does; again is well."""
    if not memory.positions:  # else a version that told nothing has written
        if told is None:
            tell({"output": ends()})
        else:
            sizes = {"stdout": now.stdout, "stderr": now.stderr}
            memory.positions |= positions(told.get("output", {}), sizes, read)
    memory.began = True
    memory.save()


def ends(descriptors: Mapping[str, int] = STREAMS) -> dict[str, list[int]]:
    """Inode and size of the files that the streams go to."""
    facts = {name: os.fstat(descriptor) for name, descriptor in descriptors.items()}
    return {n: [f.st_ino, f.st_size] for n, f in facts.items() if stat.S_ISREG(f.st_mode)}


def positions(began: Mapping[str, Any], sizes: Mapping[str, int], read: Read) -> dict[str, int]:
    """How many bytes of each stream are in its file already. ``began``: what ``ends`` said before
    the first of them; ``sizes``: what there is by now. Raises as ``read`` does, and ``Rejected``
    where that gives nothing."""
    now, found = ends(), dict[str, int]()
    for name, (inode, size) in began.items():
        if now.get(name, [None])[0] != inode or not sizes.get(name):
            continue
        # Whose own output nobody may read back begins anew.
        with contextlib.suppress(PermissionError):
            descriptor = os.open(f"/proc/self/fd/{STREAMS[name]}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                found[name] = _written(descriptor, size, name, sizes[name], read)
            finally:
                os.close(descriptor)
    return found


def _written(file: int, began: int, stream: str, size: int, read: Read) -> int:
    at, position, floor = began, 0, began
    while position < size:
        block = read(stream, position, min(BLOCK, size - position))
        if not block:
            raise Rejected("it can't be read so far that what is here already is known")
        there = memoryview(bytearray(len(block)))
        there = there[: fill(file, there, at)]
        same = _alike(block, there)
        at, position = at + same, position + same
        if same == len(block):
            continue
        if same == len(there):
            break
        back, on = _foreign(file, floor, at)
        position -= back
        if not on:
            break
        at = floor = at + on
    return position


def _alike(one: bytes, other: memoryview) -> int:
    """With how many bytes both begin."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if other[low:middle] == one[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _foreign(file: int, floor: int, at: int) -> tuple[int, int]:
    """Where the file is no more as the stream: by how many bytes too late that is seen, as some of
    the other's were alike by chance, and after how many the stream may go on. A line of somebody
    whom we don't know ends the search: rather one line twice than one not at all."""
    first = max(floor, at - LONGEST)
    room = memoryview(bytearray(at - first + LONGEST))
    seen, here = bytes(room[: fill(file, room, first)]), at - first
    line = seen.rfind(b"\n", 0, here) + 1
    for words in _OTHERS:
        began = seen.rfind(words, line, here + len(words))
        if began >= 0:
            end = seen.find(b"\n", here)
            return here - began, (end + 1 if end >= 0 else len(seen)) - here
    return here - line, 0
