"""Frames on a pair of byte streams: four bytes of length, a JSON header, a payload if it says so.

Requests go one way, answers come back in the same order. Nothing else is ever on the line.
"""

from __future__ import annotations

import fcntl
import json
import struct
import sys
import termios
from collections.abc import Iterator
from typing import BinaryIO, Optional

from burstd.far.errors import BROKEN, FarError, FarLost

PROTOCOL = 10
MAX_PACK = 16 * 1024 * 1024  #: bytes in a pack, as they are and as they travel
MAX_FILES = 64 * 1024 * 1024  #: bytes of one list of files
MAX_HEADER = 16 * 1024 * 1024 - 1
BLOCK = 1024 * 1024

Header = dict[str, object]


def send(stream: BinaryIO, header: Header, payload: bytes = b"") -> None:
    """Writes one frame. `size` is set from the payload. Does not flush."""
    if payload:
        header = {**header, "size": len(payload)}
    body = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    if len(body) > MAX_HEADER:
        raise FarError(BROKEN, f"a header of {len(body)} bytes does not fit a frame")
    try:
        stream.write(struct.pack(">I", len(body)) + body)
        if payload:
            stream.write(payload)
    except BrokenPipeError as error:
        raise FarLost("the other end has closed the line") from error


def receive(stream: BinaryIO) -> Optional[Header]:
    """The next frame's header, or None at a clean end. The payload is still to be read."""
    prefix = stream.read(4)
    if not prefix:
        return None
    if len(prefix) < 4:
        raise FarLost("the line ended inside a frame")
    (length,) = struct.unpack(">I", prefix)
    if length > MAX_HEADER:
        raise FarError(BROKEN, f"a header of {length} bytes: this is not our protocol")
    try:
        header = json.loads(read_exactly(stream, length).decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise FarError(BROKEN, "a header that is not JSON") from error
    if not isinstance(header, dict):
        raise FarError(BROKEN, "a header that is not an object")
    return header


def payload_size(header: Header) -> int:
    """How many bytes follow the header."""
    size = header.get("size", 0)
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise FarError(BROKEN, "a payload without a size")
    return size


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """That many bytes; raises FarLost if the line ends before."""
    content = stream.read(size) if size else b""
    if len(content) < size:
        raise FarLost("the line ended inside a frame")
    return content


def come(stream: BinaryIO, most: int) -> int:
    """How many bytes more have come by now than have been read, `most` if they are more; 0 also
    where nobody can tell."""
    try:
        waiting = fcntl.ioctl(stream.fileno(), termios.FIONREAD, bytes(4))
    except OSError:
        return 0
    return min(most, int.from_bytes(waiting, sys.byteorder))


def blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """A payload in pieces, in bounded memory."""
    while size > 0:
        block = read_exactly(stream, min(size, BLOCK))
        size -= len(block)
        yield block
