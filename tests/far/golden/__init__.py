"""Bytes that were written once and are never written again: what this version of the formats is.

``python -m tests.far.golden`` writes them, once for each version.
"""

from __future__ import annotations

import io
import random
from array import array
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from burstd.far import chunks, passage, wire
from burstd.far.client import Client
from burstd.far.order import InputFile, Order
from burstd.far.parts import Part
from burstd.far.store import Store

HERE = Path(__file__).parent
KEY = "b-0123abcd"
OBJECT = "packs/" + 64 * "a"
FILE = "/home/alice/study/mesh.bin"


def content() -> bytes:
    """Three quarters are noise, the last one is zeros."""
    return random.Random(1).randbytes(150_000) + bytes(50_000)


def pieces() -> list[tuple[bytes, bytes]]:
    """Name and bytes of its chunks."""
    whole = content()
    ends = list(chunks.cut(whole))
    starts = [0, *ends[:-1]]
    found = [whole[start:end] for start, end in zip(starts, ends, strict=True)]
    return list(zip(chunks.each(chunks.names(whole, ends)), found, strict=True))


def entry() -> InputFile:
    """The file as the order has it."""
    digest = chunks.blake3(content()).hex()
    return InputFile(FILE, len(content()), digest, 1_700_000_000_123_456_789, 0o640)


def order() -> Order:
    """One of each."""
    return Order(
        key=KEY, attempt=1, argv=("one",), cwd="/home/alice/study", env={"LANG": "C"},
        binds=("/home",), output_roots=("/home/alice/study",), merged=False, time_limit_s=60,
        live=("*.sta",), exports={"SLURM_JOB_ID": "7"}, inputs=(entry(),), secret="5a" * 32,
    )  # fmt: skip


def said() -> bytes:
    """What an agent says that sends one file and an order. Frames of zstd are left out of it: each
    library writes them in its own way."""
    line, found = io.BytesIO(), pieces()
    client = Client(line, io.BytesIO())
    client._post({"op": "hello", "protocol": wire.PROTOCOL})
    client.unlock(bytes(range(32)))
    client.want([(name, len(piece)) for name, piece in found])
    client.chunks([(0, len(found))], b"".join(piece for _, piece in found), None)
    part = Part(FILE, 0, [(0, len(found))], entry())
    client._post({"op": "build"}, f"[{part.text()}]".encode())
    client.mkdir("/home/alice/study/r", 0o750)
    document = order().to_json()
    client._post({"op": "order", "order_size": len(document)}, document + b"#!/bin/sh\n")
    client.names(FILE, 0, 200_000)
    client._post({"op": "files", "patterns": ["*.bin"]})
    client._post({"op": "read", "which": {"path": FILE}, "offset": 0, "length": 10})
    return line.getvalue()


def stored(directory: Path) -> tuple[bytes, bytes]:
    """A pack and its index."""
    store = Store.at(str(directory), KEY)
    store.add(pieces())
    store.close()
    (pack,) = directory.glob("stores/*/*.pack")
    return pack.read_bytes(), pack.with_suffix(".idx").read_bytes()


def sealed() -> bytes:
    """A pack as it lies in a bucket, salted with zeros."""
    with mock.patch("burstd.far.seal.os.urandom", bytes):
        return passage.closed(bytes(range(32)), OBJECT, content() * 6, None)


def numbers() -> tuple[bytes, list[int]]:
    """Text, doubles, noise and vectors of three floats: the pieces of one payload."""
    dice = random.Random(7)
    doubles = array("d", (1e5 + 3 * n + dice.random() * 1e-3 for n in range(1500)))
    vectors = array("f")
    for n in range(1500):
        vectors.extend((n * 0.01, 700 + dice.random(), -3e4 - 7 * n))
    found = (b"$ a mesh\n" * 500, doubles.tobytes(), dice.randbytes(5001), vectors.tobytes())
    return b"".join(found), list(accumulate(map(len, found)))


def written() -> Iterator[tuple[str, bytes]]:
    """All of it, as today's burstd writes it."""
    yield "cut.txt", "".join(f"{name.hex()} {len(piece)}\n" for name, piece in pieces()).encode()
    yield "conversation.bin", said()
    yield "sealed.bin", sealed()
    plain, ends = numbers()
    yield "planes.bin", chunks.compress(plain, 1, ends)
    with TemporaryDirectory() as directory:
        pack, index = stored(Path(directory))
        yield "store.pack", pack
        yield "store.idx", index
