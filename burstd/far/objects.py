"""Single objects of a bucket, by addresses that burstd has signed (SigV4's presigned URLs).

No credential of the bucket is ever at this end, nor at the agent's: an address is good for one
object, one verb and some minutes.
"""

from __future__ import annotations

import http.client
import ipaddress
import threading
import time
from typing import Optional, Union
from urllib.parse import urlsplit

from burstd.far.errors import BUSY, MISMATCH, MISSING, REFUSED, BucketError

Data = Union[bytes, bytearray, memoryview]


TIMEOUT = 60  #: seconds without a byte
PAUSES = (0.5, 2.0)  #: seconds before an object is tried again
_WORDS = 4096  #: bytes of a refusal that are read
#: 401, 403: the address has lapsed, or burstd's rights do not do. Neither is the job's fault.
_SOON = (401, 403, 408, 429, 500, 502, 503, 504)


class Objects:
    """Keeps connections open until it is closed. For threads. Raises BucketError: missing,
    mismatch for an object that is too large, busy where the bucket can't be reached, is overloaded
    or does not let us in, refused for all else."""

    def __init__(self) -> None:
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    def put(self, address: str, content: Data) -> None:
        """Leaves an object; again is well."""
        self._exchange("PUT", address, content, 0)

    def get(self, address: str, most: int) -> bytes:
        """An object of at most so many bytes."""
        return self._exchange("GET", address, None, most)

    def close(self) -> None:
        """Gives the idle connections back."""
        with self._lock:
            while self._idle:
                self._idle.pop()[1].close()

    def _exchange(self, verb: str, address: str, content: Optional[Data], most: int) -> bytes:
        for pause in (*PAUSES, None):
            try:
                return self._once(verb, address, content, most)
            except BucketError as error:
                if error.code != BUSY or pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError

    def _once(self, verb: str, address: str, content: Optional[Data], most: int) -> bytes:
        place, wanted = _parted(address)
        line = self._line(place)
        try:
            line.request(verb, wanted, body=content, headers=_HEADERS)
            answer = line.getresponse()
            found = answer.read(most + 1 if answer.status == 200 else _WORDS)
            if answer.length and answer.status == 200 and len(found) <= most:
                raise http.client.IncompleteRead(found, answer.length)  # read() keeps silent
        except (OSError, http.client.HTTPException) as error:
            line.close()
            self.close()  # what idles was most likely ended with it
            why = str(error) or type(error).__name__
            raise BucketError(BUSY, f"the bucket at {place} does not answer: {why}") from error
        if answer.status != 200 or len(found) > most:
            answer.close()
            line.close()  # there may be more than we shall read
            raise _refusal(place, answer.status, found, most)
        with self._lock:
            self._idle.append((place, line))
        return found

    def _line(self, place: str) -> http.client.HTTPConnection:
        with self._lock:
            for number, (where, line) in enumerate(self._idle):
                if where == place:
                    del self._idle[number]
                    return line
        return _connect(place)


#: Of a PUT no type is guessed, and nothing is asked back: both would have to be signed.
_HEADERS = {"Accept-Encoding": "identity"}


def _parted(address: str) -> tuple[str, str]:
    """The server, and what it is asked for. An error does not quote it: it opens the object."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not address.isascii() or not address.isprintable() or " " in address:
        raise BucketError(REFUSED, "not the address of an object in a bucket")
    return f"{parts.scheme}://{parts.netloc}", f"{parts.path}?{parts.query}"


def _connect(place: str) -> http.client.HTTPConnection:
    scheme, _, host = place.partition("://")
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    line: http.client.HTTPConnection = kinds[scheme](host, timeout=TIMEOUT)
    try:
        line.connect()
        peer = ipaddress.ip_address(line.sock.getpeername()[0].partition("%")[0])
    except (OSError, http.client.HTTPException, ValueError) as error:
        line.close()
        raise BucketError(BUSY, f"the bucket at {place} can't be reached: {error}") from error
    if (getattr(peer, "ipv4_mapped", None) or peer).is_link_local:
        # Where a cloud keeps its machines' own credentials. Nobody's agent shall ask there for us.
        line.close()
        raise BucketError(REFUSED, f"{place} is no bucket but a link-local address")
    return line


def _refusal(place: str, status: int, found: bytes, most: int) -> BucketError:
    if status == 200:
        return BucketError(MISMATCH, f"an object of more than {most} bytes")
    words = found.decode("utf-8", "replace")
    code = words.partition("<Code>")[2].partition("<")[0] or "no reason"
    text = f"the bucket at {place} answers {status}, {code}"
    if status == 404:
        return BucketError(MISSING, text)
    return BucketError(BUSY if status in _SOON else REFUSED, text)
