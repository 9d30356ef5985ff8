"""Sealed objects, held against another library's AES-GCM and against whoever changes them."""

from __future__ import annotations

import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from burstd.far import passage, seal
from burstd.far.errors import MISMATCH, REFUSED, FarError

KEY, NAME = bytes(range(32)), "packs/0123"
SIZES = [0, 1, seal.SEGMENT - 1, seal.SEGMENT, seal.SEGMENT + 1, 3 * seal.SEGMENT]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_was_sealed_comes_out_again(size: int, kind: type) -> None:
    content = os.urandom(size)
    sealed = seal.seal(KEY, NAME, kind(content))
    assert seal.size_of(size) == len(sealed)
    assert content == seal.unseal(KEY, NAME, kind(sealed))
    assert sealed != seal.seal(KEY, NAME, content)  # each time another salt


@pytest.mark.parametrize("size", SIZES)
def test_the_document_is_enough_to_open_it(size: int) -> None:
    """Written from docs/formats.md alone, with another library."""
    content = os.urandom(size)
    sealed = seal.seal(KEY, NAME, content)
    magic, salt, body = sealed[:8], sealed[8:40], sealed[40:]
    extracted = hmac.digest(salt, KEY, "sha256")
    cipher = AESGCM(hmac.digest(extracted, b"burstd sealed object\x01", "sha256"))
    pieces = [body[at : at + 2**20 + 16] for at in range(0, len(body), 2**20 + 16)]
    found = b"".join(
        cipher.decrypt(
            bytes(7) + number.to_bytes(4, "big") + bytes([number == len(pieces) - 1]),
            piece,
            magic + NAME.encode(),
        )
        for number, piece in enumerate(pieces)
    )
    assert (b"burstsl1", content) == (magic, found)


@given(data=st.data(), size=st.sampled_from(SIZES))
@settings(max_examples=60, deadline=None)
def test_no_byte_of_it_can_be_changed(data: st.DataObject, size: int) -> None:
    sealed = bytearray(seal.seal(KEY, NAME, bytes(size)))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FarError, match=MISMATCH):
        seal.unseal(KEY, NAME, sealed)


@pytest.mark.parametrize("size", SIZES)
def test_it_can_be_neither_cut_nor_prolonged_nor_put_together_anew(size: int) -> None:
    sealed = seal.seal(KEY, NAME, os.urandom(size))
    step = seal.SEGMENT + 16
    parts = [sealed[40 + at : 40 + at + step] for at in range(0, len(sealed) - 40, step)]
    others = [sealed[:end] for end in (0, 7, 39, 40, 55, len(sealed) - 1)]
    others += [sealed + b"x", sealed + bytes(16), sealed + parts[-1]]
    others += [sealed[:40] + b"".join(parts[:-1]), sealed[:40] + b"".join(reversed(parts))]
    for other in others:
        if other != sealed:
            with pytest.raises(FarError, match=MISMATCH):
                seal.unseal(KEY, NAME, other)


def test_another_key_or_name_opens_nothing() -> None:
    sealed = seal.seal(KEY, NAME, b"a deck")
    for key, name in ((bytes(32), NAME), (KEY, "packs/0124"), (KEY, "")):
        with pytest.raises(FarError, match=MISMATCH):
            seal.unseal(key, name, sealed)


def test_names_are_the_same_for_who_has_the_key_and_tell_others_nothing() -> None:
    chunks = [bytes(32), bytes([1]) * 32]
    assert seal.name_of(KEY, chunks) == seal.name_of(KEY, list(chunks))
    assert seal.name_of(KEY, chunks) != seal.name_of(bytes(32), chunks)
    assert seal.name_of(KEY, chunks) != seal.name_of(KEY, chunks[::-1])
    assert 64 == len(seal.name_of(KEY, []))


def test_without_openssl_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "_places", lambda: ["libno-such-thing.so"])
    seal._library.cache_clear()
    try:
        with pytest.raises(FarError, match=f"{REFUSED}: this Python has no OpenSSL"):
            seal.seal(KEY, NAME, b"")
    finally:
        seal._library.cache_clear()


@given(content=st.binary(max_size=50), plain=st.none() | st.integers(1, 2**40))
def test_a_pack_says_whether_it_is_compressed(content: bytes, plain: int | None) -> None:
    found = passage.opened(KEY, NAME, passage.closed(KEY, NAME, content, plain))
    assert (plain, content) == (found[0], bytes(found[1]))


def test_an_object_that_is_no_pack_is_refused() -> None:
    with pytest.raises(FarError, match="is no pack"):
        passage.opened(KEY, NAME, seal.seal(KEY, NAME, b"short"))
