"""The staged files of one run directory: what is held, what arrives, what is right."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from typing import Optional

from burstd.far import paths
from burstd.far.chunks import Blake3
from burstd.far.errors import MISMATCH, REFUSED, FarError, from_os
from burstd.far.order import InputFile
from burstd.far.rundir import PART, TREE, RunDir
from burstd.far.wire import BLOCK


class Upload:
    """A file on its way in: the open part file and the digest of what it holds so far."""

    def __init__(self, parts: int, entry: InputFile, offset: int) -> None:
        self.entry = entry
        self.name = part_name(entry.path)
        self.digest = Blake3()
        self.fd = paths.open_regular(parts, (self.name,), os.O_RDWR | os.O_CREAT)
        try:
            held = os.fstat(self.fd).st_size
            if offset > held:
                raise FarError(REFUSED, f"offset {offset} is beyond the {held} bytes held")
            os.ftruncate(self.fd, offset)
            self.held = digest_into(self.digest, self.fd)
        except BaseException:
            os.close(self.fd)
            raise

    def append(self, block: bytes) -> None:
        """Writes a block at the end. Raises OSError; what was written stays and can be resumed."""
        if self.held + len(block) > self.entry.size:
            raise FarError(REFUSED, f"more bytes than the {self.entry.size} announced")
        view = memoryview(block)
        while view:
            written = os.pwrite(self.fd, view, self.held)
            self.digest.update(view[:written])
            self.held += written
            view = view[written:]


class Holdings:
    """Reads and writes tree/ and part/ of a run directory; all errors are FarError."""

    def __init__(self, run: RunDir) -> None:
        self._tree = run.directory(TREE)
        self._parts = run.directory(PART)
        self._upload: Optional[Upload] = None

    def close(self) -> None:
        """Gives the descriptors back."""
        self._drop()
        os.close(self._tree)
        os.close(self._parts)

    def _drop(self) -> None:
        if self._upload is not None:
            os.close(self._upload.fd)
            self._upload = None

    def have(self, entry: InputFile) -> tuple[int, bool]:
        """Bytes held of a file and whether it is whole; a whole one gets its mode and time."""
        with _answered():
            parts = paths.split(entry.path)
            if self._whole(entry, parts):
                return entry.size, True
            try:
                fact = os.stat(part_name(entry.path), dir_fd=self._parts, follow_symlinks=False)
            except FileNotFoundError:
                return 0, False
            return (fact.st_size if fact.st_size <= entry.size else 0), False

    def right(self, entry: InputFile) -> bool:
        """Whether the staged file is there with its size and digest."""
        with _answered():
            return self._whole(entry, paths.split(entry.path))

    def _whole(self, entry: InputFile, parts: paths.Parts) -> bool:
        try:
            fd = paths.open_regular(self._tree, parts)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            digest = Blake3()
            if os.fstat(fd).st_size != entry.size or digest_into(digest, fd) != entry.size:
                return False
            if digest.hexdigest() != entry.blake3:
                return False
            _dress(fd, entry)
            return True
        finally:
            os.close(fd)

    def put(self, entry: InputFile, offset: int, blocks: Iterator[bytes]) -> int:
        """Takes a piece of a file; the last one lands it. Returns the bytes now held.

        Raises FarError: `full` keeps what came and may be continued from `have`.
        """
        try:
            with _answered():
                parts = paths.split(entry.path)
                upload = self._begin(entry, offset)
                for block in blocks:
                    upload.append(block)
                if upload.held == entry.size:
                    self._land(upload, parts)
                return upload.held
        except FarError:
            self._drop()
            raise

    def _begin(self, entry: InputFile, offset: int) -> Upload:
        upload = self._upload
        if upload is not None and upload.entry == entry and upload.held == offset:
            return upload
        self._drop()
        self._upload = Upload(self._parts, entry, offset)
        return self._upload

    def _land(self, upload: Upload, parts: paths.Parts) -> None:
        if upload.digest.hexdigest() != upload.entry.blake3:
            os.unlink(upload.name, dir_fd=self._parts)
            raise FarError(MISMATCH, f"other bytes than announced: {upload.entry.path!r}")
        _dress(upload.fd, upload.entry)
        os.fsync(upload.fd)
        with paths.directory(self._tree, parts[:-1], create=True) as parent:
            os.rename(upload.name, parts[-1], src_dir_fd=self._parts, dst_dir_fd=parent)
        self._drop()

    def mkdir(self, path: str, mode: int) -> None:
        """Makes a directory. The owner can always enter it: files may still have to come."""
        with _answered(), paths.directory(self._tree, paths.split(path), create=True) as fd:
            os.fchmod(fd, (mode & 0o777) | 0o700)


def part_name(path: str) -> bytes:
    """Where the incomplete file of that path lies in part/."""
    return hashlib.sha256(paths.to_bytes(path)).hexdigest().encode()


def digest_into(digest: Blake3, fd: int) -> int:
    """Feeds a whole file to the digest, from its start, and returns the bytes read."""
    offset = 0
    while True:
        block = os.pread(fd, BLOCK, offset)
        if not block:
            return offset
        digest.update(block)
        offset += len(block)


def _dress(fd: int, entry: InputFile) -> None:
    fact = os.fstat(fd)
    # Untouched if right: on most file systems a needless change would look like a job's.
    if stat.S_IMODE(fact.st_mode) != entry.mode:
        os.fchmod(fd, entry.mode)
    if fact.st_mtime_ns != entry.mtime_ns:
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os(error) from error
