"""Objects that nobody can read, change, shorten or exchange who has not their key.

AES-256-GCM in segments, as the STREAM construction has them (Hoang, Reyhanitabar, Rogaway and
Vizar, CRYPTO 2015): an object that was cut off is noticed, and so is one under another's name. The
cipher is that of the OpenSSL which Python itself is linked to: the far end has nothing else.
Layout: docs/formats.md.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import hmac
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Optional, Union

from burstd.far.errors import MISMATCH, REFUSED, FarError

Data = Union[bytes, bytearray, memoryview]

KEY = 32  #: bytes
MAGIC = b"burstsl1"
SEGMENT = 1024 * 1024  #: bytes, of all but the last
_SALT, _TAG = 32, 16
_GET_TAG, _SET_TAG = 0x10, 0x11  # EVP_CTRL_AEAD_*: openssl/evp.h


def seal(key: bytes, name: str, content: Data) -> bytes:
    """The object of that name; each time another one, all of them with the same content."""
    salt = os.urandom(_SALT)
    sealed = bytearray(size_of(len(content)))
    sealed[: len(MAGIC) + _SALT] = MAGIC + salt
    at, plain, bound = len(MAGIC) + _SALT, memoryview(content), _bound(name)
    derived, count = derive(key, salt, b"burstd sealed object"), _segments(len(content))
    for number in range(count):
        part = plain[number * SEGMENT : (number + 1) * SEGMENT]
        nonce = _nonce(number, final=number == count - 1)
        end = at + len(part)
        sealed[end : end + _TAG] = _seal(derived, nonce, bound, part, memoryview(sealed)[at:end])
        at = end + _TAG
    return bytes(sealed)


def unseal(key: bytes, name: str, sealed: Data) -> bytearray:
    """What is in it. Raises FarError(mismatch) unless it is all there, as it was sealed with this
    key under this name."""
    view, head = memoryview(sealed), len(MAGIC) + _SALT
    count = _segments(max(0, len(view) - head), SEGMENT + _TAG)
    content = bytearray(max(0, len(view) - head - count * _TAG))
    if bytes(view[: len(MAGIC)]) != MAGIC or len(view) != size_of(len(content)):
        raise _not_ours(name)
    derived = derive(key, bytes(view[len(MAGIC) : head]), b"burstd sealed object")
    at, into, bound = head, memoryview(content), _bound(name)
    for number in range(count):
        room = into[number * SEGMENT : (number + 1) * SEGMENT]
        part, tag = view[at : at + len(room)], bytes(view[at + len(room) : at + len(room) + _TAG])
        nonce = _nonce(number, final=number == count - 1)
        if not _open(derived, nonce, bound, part, tag, room):
            raise _not_ours(name)
        at += len(room) + _TAG
    return content


def size_of(content: int) -> int:
    """Bytes of the object that so many bytes become."""
    return len(MAGIC) + _SALT + content + _segments(content) * _TAG


def name_of(key: bytes, names: Sequence[bytes]) -> str:
    """What an object with these chunks is called: the same for whoever has the key, and nothing to
    all others."""
    own = derive(key, b"", b"burstd object name")
    return hmac.new(own, b"".join(names), hashlib.sha256).hexdigest()


def derive(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    """HKDF with SHA-256 (RFC 5869), one block."""
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, purpose + b"\x01", hashlib.sha256).digest()


def _segments(size: int, width: int = SEGMENT) -> int:
    """One at least: it says that nothing follows."""
    return max(1, -(-size // width))


def _nonce(number: int, final: bool) -> bytes:
    return bytes(7) + number.to_bytes(4, "big") + bytes([final])


def _bound(name: str) -> bytes:
    """Any text: the other end may have sent half a letter."""
    return MAGIC + name.encode("utf-8", "surrogatepass")


def _not_ours(name: str) -> FarError:
    return FarError(MISMATCH, f"object {name} is damaged, or sealed with another key")


def _seal(key: bytes, nonce: bytes, bound: bytes, data: memoryview, into: memoryview) -> bytes:
    """The tag."""
    library, tag = _library(), ctypes.create_string_buffer(_TAG)
    with _through(library, (key, nonce, 1), bound, data, into) as context:
        _must(library.EVP_CipherFinal_ex(context, _rest(), ctypes.byref(ctypes.c_int())))
        _must(library.EVP_CIPHER_CTX_ctrl(context, _GET_TAG, _TAG, tag))
    return tag.raw


def _open(
    key: bytes, nonce: bytes, bound: bytes, data: memoryview, tag: bytes, into: memoryview
) -> bool:
    """False where the tag is wrong: what is `into` is not to be used then."""
    library = _library()
    with _through(library, (key, nonce, 0), bound, data, into) as context:
        _must(library.EVP_CIPHER_CTX_ctrl(context, _SET_TAG, _TAG, tag))
        end = library.EVP_CipherFinal_ex(context, _rest(), ctypes.byref(ctypes.c_int()))
    return bool(end == 1)


@contextmanager
def _through(
    library: ctypes.CDLL, start: tuple[bytes, bytes, int], bound: bytes, data: memoryview,
    into: memoryview,
) -> Iterator[int]:  # fmt: skip
    """A context that the data have gone through. `start`: key, nonce, 1 to seal."""
    context = library.EVP_CIPHER_CTX_new()
    if not context:
        raise MemoryError
    count = ctypes.byref(ctypes.c_int())
    try:
        key, nonce, seals = start
        cipher = library.EVP_aes_256_gcm()
        _must(library.EVP_CipherInit_ex(context, cipher, None, key, nonce, seals))
        _must(library.EVP_CipherUpdate(context, None, count, bound, len(bound)))
        if len(data):
            source, sink = _address(data), _address(into)
            _must(library.EVP_CipherUpdate(context, sink, count, source, len(data)))
        yield context
    finally:
        library.EVP_CIPHER_CTX_free(context)


def _rest() -> ctypes.Array[ctypes.c_char]:
    """Room for what GCM never has."""
    return ctypes.create_string_buffer(_TAG)


def _address(data: memoryview) -> object:
    if data.readonly:
        return bytes(
            data
        )  # ctypes takes no other thing that can't be written to; a segment at most
    return ctypes.byref(ctypes.c_char.from_buffer(data))


def _must(result: int) -> None:
    if result != 1:
        raise FarError(REFUSED, "OpenSSL refuses AES-256-GCM")


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Raises FarError(refused) where this Python has no OpenSSL."""
    for path in _places():
        try:
            library = ctypes.CDLL(path)
            library.EVP_aes_256_gcm  # noqa: B018 (AttributeError where it is not there)
        except (OSError, AttributeError):
            continue
        address, number = ctypes.c_void_p, ctypes.c_int
        counted, five = ctypes.POINTER(number), (address,) * 5
        for function, result, arguments in (
            (library.EVP_aes_256_gcm, address, ()),
            (library.EVP_CIPHER_CTX_new, address, ()),
            (library.EVP_CIPHER_CTX_free, None, (address,)),
            (library.EVP_CipherInit_ex, number, (*five, number)),
            (library.EVP_CipherUpdate, number, (address, address, counted, address, number)),
            (library.EVP_CipherFinal_ex, number, (address, address, counted)),
            (library.EVP_CIPHER_CTX_ctrl, number, (address, number, number, address)),
        ):  # fmt: skip
            function.restype, function.argtypes = result, arguments
        return library
    raise FarError(
        REFUSED, "this Python has no OpenSSL: it can't open what passes through a bucket"
    )


def _places() -> Iterator[Optional[str]]:
    """Where OpenSSL may be found: behind the module that hashlib uses, in the interpreter itself,
    in the system."""
    try:
        import _hashlib
    except ImportError:
        pass
    else:
        yield getattr(_hashlib, "__file__", None)
    yield None
    yield ctypes.util.find_library("crypto")
