"""The store: chunks that have come to this end once, for all bursts of one user.

It is a directory of packs, each written by one conversation: a log of records that prove
themselves, so that what was on the disk when a conversation was cut, or killed, counts for the next
one. A finished pack has an index beside it. Layout: docs/formats.md.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Callable, Optional

from burstd.far import chunks, paths
from burstd.far.claims import Claims
from burstd.far.errors import BROKEN, MISMATCH, REFUSED, FarError
from burstd.far.models import Models
from burstd.far.packs import INDEX, NEW, PACK, Chunk, Writer, index_of, indexed, pack_of
from burstd.far.places import Names, Places, place
from burstd.far.table import Table

_FULL = 256 * 1024 * 1024  #: bytes of a pack from which on another one is begun
_IN_USE = 3600  #: seconds since its last use in which a pack is not swept away
_TOUCHED = 600  #: seconds after which a pack that is used on is marked once more
_LOOSE = 16  #: packs that are not in the table


class Store:
    """One user's chunks. Not for threads; other conversations may use the directory meanwhile, and
    see what this one has added once it is settled."""

    def __init__(self, directory: int, key: str) -> None:
        """`directory`: a descriptor, the store's from now on; `key`: the burst's."""
        self._directory = directory
        self._prefix = key.encode() + b"."
        self._packs: list[bytes] = []
        self._open: dict[int, int] = {}
        self._places = Places(directory, self._tabled)
        self._writer: Optional[Writer] = None
        self._writing = -1  #: number of its pack
        self._ours: list[bytes] = []
        #: Packs that this conversation was glad to find, and when.
        self._used: dict[int, float] = {}
        self.finished = 0  #: packs of this conversation that others see
        self._began = 0.0
        listed = {name for name in map(os.fsencode, os.listdir(directory)) if name.endswith(PACK)}
        self._table = Table.open(directory)
        #: Here, of each pack of the table.
        self._numbers = [self._number(name) if name in listed else -1 for name in self._table.packs]
        self._known = listed.intersection(self._table.packs)
        for name in sorted(listed.difference(self._known)):
            self._learn(name, name.startswith(self._prefix))

    def _number(self, pack: bytes) -> int:
        self._packs.append(pack)
        return len(self._packs) - 1

    @classmethod
    def at(cls, root: str, key: str, shared: bool = False) -> Store:
        """That of whoever calls, ROOT/stores/UID, made, 0700, where it is missing; or ROOT/stores/
        shared, a group's, which whoever has laid ROOT out has made. Raises FarError(refused) where
        that is none, broken where it can't be opened."""
        os.makedirs(os.path.join(root, "stores"), mode=0o700, exist_ok=True)
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if shared:
                return cls(_shared(top), key)
            own = (b"stores", b"%d" % os.geteuid())
            return cls(paths.open_directory(top, own, create=True), key)
        finally:
            os.close(top)

    def has(self, name: bytes) -> bool:
        """Whether there is a chunk of that name; its pack counts as used."""
        return bool(self.held([name]))

    def held(self, names: Sequence[bytes]) -> set[bytes]:
        """Which of them there are; their packs count as used."""
        places = self._places.all(names)
        used = {n for n in {p >> 72 for p in places if p is not None} if self._in_use(n)}
        both = zip(names, places)  # noqa: B905 (Python 3.9)
        return {name for name, place in both if place is not None and place >> 72 in used}

    def look(self, wanted: bytes, width: int) -> None:
        """Before many are asked for one by one: their names lie so many bytes apart."""
        self._places.look(wanted, width)

    def _tabled(self, wanted: bytes, width: int) -> Iterator[tuple[bytes, int]]:
        for name, pack, offset, size in self._table.find(wanted, width):
            number = self._numbers[pack] if pack < len(self._numbers) else -1
            if number >= 0 and number not in self._places.gone:
                yield name, place(number, offset, size)

    def names(self) -> Names:
        """For as many as come. The caller closes them."""
        return Names(self._directory)

    def refresh(self, mend: bool = False) -> None:
        """Learns what other conversations have finished since. `mend`: also what those have left
        that were killed or hang."""
        listed = {name for name in map(os.fsencode, os.listdir(self._directory))}
        for name in sorted(listed.difference(self._known, self._ours)):
            if name.endswith(PACK) and (mend or index_of(name) in listed):
                self._learn(name, mend)

    def _in_use(self, number: int) -> bool:
        """Marks a pack as used, now and then. False if it was swept away: we were silent for
        long."""
        now = time.monotonic()
        if now - self._used.get(number, -_TOUCHED) >= _TOUCHED:
            if not self._touch(self._packs[number]):
                self._forget(number)
                return False
            self._used[number] = now
        return True

    def _touch(self, pack: bytes) -> bool:
        for name in (index_of(pack), pack):  # the latter while there is no index
            with contextlib.suppress(OSError):
                os.utime(name, dir_fd=self._directory)
                return True
        return False

    def add(self, found: Sequence[Chunk]) -> None:
        """Keeps chunks whose names are right. Raises OSError; what is whole by then stays."""
        fresh = {name: content for name, content in found if self._places.near(name) is None}
        if not fresh:
            return
        if self._writer is not None and self._writer.size >= _FULL:
            self.settle()
        if self._writer is not None and not self._in_use(self._writing):
            self.add(found)  # its pack is gone, and what that had: into another one
            return
        if self._writer is None:
            self._writer = Writer(self._directory, self._prefix)
            self._writing, self._began = self._number(self._writer.name), time.monotonic()
            self._ours.append(self._writer.name)
        for name, offset, size in self._writer.append(list(fresh.items())):
            self._places.put(name, place(self._writing, offset, size))

    def copy(self, wanted: Sequence[tuple[bytes, int]], to: int, hole: int) -> bool:
        """Appends chunks, with the sizes that they were announced with, to an open file. They are
        looked at again: disks rot. Runs of zeros from `hole` bytes on are passed over, and whether
        the last one was is returned. Raises FarError(mismatch | refused), and OSError where
        the file can't be written."""
        places = self._places.all([name for name, _ in wanted])
        found = self._kept(wanted, places)
        done, passed = chunks.lay(to, found, hole) if found else (0, False)
        if done < len(wanted):
            self._forget((places[done] or 0) >> 72)
            name = wanted[done][0].hex()
            raise FarError(MISMATCH, f"a chunk of the store is damaged or gone: {name}")
        return passed

    def kept(self, name: bytes, size: int) -> Optional[chunks.Kept]:
        """Where a chunk of so many bytes lies, if there is one; its pack counts as used."""
        found = self._places.near(name)
        if found is None:
            (found,) = self._places.all([name])
        if found is None or found & (1 << 24) - 1 != size or not self._in_use(found >> 72):
            return None
        return self._where(name, found)

    def _kept(
        self, wanted: Sequence[tuple[bytes, int]], places: Sequence[Optional[int]]
    ) -> list[chunks.Kept]:
        found = []
        for (name, size), there in zip(wanted, places):  # noqa: B905 (Python 3.9)
            if there is None:
                raise FarError(MISMATCH, f"no chunk {name.hex()}")
            if (kept := there & (1 << 24) - 1) != size:
                raise FarError(REFUSED, f"a chunk of {kept} bytes was announced with {size}")
            found.append(self._where(name, there))
        return found

    def _where(self, name: bytes, found: int) -> chunks.Kept:
        number, offset, size = found >> 72, found >> 24 & (1 << 48) - 1, found & (1 << 24) - 1
        fd = self._open.get(number)
        return name, self._opened(number) if fd is None else fd, offset, size

    def _opened(self, number: int) -> int:
        """-1 where somebody has swept it away meanwhile."""
        try:
            self._open[number] = paths.open_regular(self._directory, (self._packs[number],))
        except FileNotFoundError:
            return -1
        return self._open[number]

    @property
    def age(self) -> float:
        """Seconds since the pack that is being written was begun; 0 without one."""
        return 0.0 if self._writer is None else time.monotonic() - self._began

    def settle(self) -> None:
        """What was added is on the disk, with its index."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.finish()
            self.finished += 1

    def forget(self) -> None:
        """Removes what this conversation has added."""
        self.settle()
        for pack in self._ours:
            self._remove(pack)

    def claims(self, wanted: bool = True, first: bool = False) -> Claims:
        """What conversations at it are bringing; see `Claims`. The caller closes them."""
        return Claims(self._directory, self._prefix, wanted, first)

    def models(self, wanted: bool = True) -> Models:
        """Its whole files; none where none are wanted, nor where others could write to them: they
        are not looked at again. The caller closes them."""
        return Models(self._directory, wanted and not paths.is_shared(os.fstat(self._directory)))

    def sweep(self, limit: int, days: int) -> int:
        """Removes packs and models that nobody has used for so many days, then those that were not
        used for longest until all have `limit` bytes; none that was used within the last hour. What
        is removed is only sent or built again. Returns the bytes that are left."""
        models = self.models()
        try:
            return self._sweep(models, limit, days)
        finally:
            models.close()

    def _sweep(self, models: Models, limit: int, days: int) -> int:
        now = time.time()
        found: list[tuple[float, bytes, int, Callable[[bytes], None]]] = []
        found += [(last, name, size, models.remove) for last, name, size in models.sizes()]
        listed = {name for name in map(os.fsencode, os.listdir(self._directory))}
        for pack in listed:
            if pack.endswith(PACK):
                with contextlib.suppress(FileNotFoundError):
                    fact = os.stat(pack, dir_fd=self._directory)
                    last = self._last_use(pack, fact)
                    found.append((last, pack, fact.st_size, self._remove))
            elif pack.startswith(NEW) or (pack.endswith(INDEX) and pack_of(pack) not in listed):
                self._abandoned(pack, now)
        left = sum(size for _, _, size, _ in found)
        for last, name, size, remove in sorted(found, key=lambda one: one[:3]):
            idle = now - last
            if idle < _IN_USE or (idle < days * 86400 and left <= limit):
                break
            remove(name)
            left -= size
        return left

    def _abandoned(self, name: bytes, now: float) -> None:
        """What somebody who was killed had not given its name yet, or had removed by half."""
        with contextlib.suppress(OSError):
            if now - os.stat(name, dir_fd=self._directory).st_mtime > _IN_USE:
                os.unlink(name, dir_fd=self._directory)

    def _last_use(self, pack: bytes, fact: os.stat_result) -> float:
        """Without an index it is being written, or waits for somebody to mend it."""
        with contextlib.suppress(FileNotFoundError):
            fact = os.stat(index_of(pack), dir_fd=self._directory)
        return fact.st_mtime

    def tabulate(self) -> None:
        """Packs that came since the table was written go into it, once there are many."""
        listed = {name for name in map(os.fsencode, os.listdir(self._directory))}
        loose = sorted(
            name
            for name in listed.difference(self._table.packs)
            if name.endswith(PACK) and index_of(name) in listed
        )
        if len(loose) >= _LOOSE:
            gone = (n for n, pack in enumerate(self._table.packs) if pack not in listed)
            more = ((pack, indexed(self._directory, pack, False)) for pack in loose)
            self._table.with_more(self._directory, more, gone)

    def close(self) -> None:
        """Settles, and gives the descriptors back."""
        try:
            self.settle()
            with contextlib.suppress(OSError):  # all is found without it, too
                self.tabulate()
        finally:
            for fd in (*self._open.values(), self._directory):
                os.close(fd)

    def _learn(self, pack: bytes, growing: bool) -> None:
        """What is in it; while somebody else writes it nothing, or `growing` what it has by now."""
        number, finished = -1, False
        with contextlib.suppress(FileNotFoundError):  # before: it may be finished just now
            os.stat(index_of(pack), dir_fd=self._directory)
            finished = True
        for name, offset, size in indexed(self._directory, pack, growing):
            number = self._number(pack) if number < 0 else number
            self._places.put(name, place(number, offset, size))
        if finished:
            self._known.add(pack)

    def _forget(self, number: int) -> None:
        """A pack with damage is not used again: what it had is asked for again."""
        self._places.gone.add(number)
        self._remove(self._packs[number])
        if self._writer is not None and self._writer.name == self._packs[number]:
            self._writer.give_up()
            self._writer = None

    def _remove(self, pack: bytes) -> None:
        for name in (pack, index_of(pack)):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._directory)


def _shared(top: int) -> int:
    """In `stores` anybody may make a directory: this one is its owner's who owns the whole."""
    try:
        found = paths.open_directory(top, (b"stores", b"shared"))
    except PermissionError as error:  # also where a ticket of Kerberos has expired
        raise FarError(BROKEN, f"the shared store can't be opened: {error.strerror}") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FarError(REFUSED, f"there is no shared store: {error.strerror}") from error
    fact, owner = os.fstat(found), os.fstat(top).st_uid
    if fact.st_uid != owner or not paths.is_shared(fact) or fact.st_mode & 0o007:
        os.close(found)
        raise FarError(REFUSED, "the shared store is not a group's alone (mode 2770)")
    return found
