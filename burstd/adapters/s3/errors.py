"""What S3 and botocore complain of, in the words of ``ports.errors``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from burstd.ports.errors import AccessDenied, PortError, Rejected, Throttled, Unreachable

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_BUSY = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
_AWAY = frozenset({"InternalError", "RequestTimeout", "OperationAborted"})
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
#: They say that nothing of that name is there any more.
GONE = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchUpload"})

_KEYS = "correct or renew its access keys"
_REGION = "correct its region in config.toml"
#: What to do, by the server's code.
_CURES = MappingProxyType(
    {
        "AccessDenied": "let its access keys list, read, write and delete objects, their versions "
        "and unfinished uploads below its prefix",
        "InvalidAccessKeyId": _KEYS,
        "SignatureDoesNotMatch": _KEYS,
        "ExpiredToken": _KEYS,
        "InvalidToken": _KEYS,
        "TokenRefreshRequired": _KEYS,
        "RequestTimeTooSkewed": "set this machine's clock",
        "NoSuchBucket": "make the bucket, or correct its name in config.toml",
        "AuthorizationHeaderMalformed": _REGION,
        "PermanentRedirect": _REGION,
    }
)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Whatever botocore raises in here leaves as one of ours, and names ``where``."""
    # As with the client: who has no bucket does not wait for botocore to load.
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _answered(where, error) from error
    except BotoCoreError as error:
        raise _unanswered(where, error) from error
    except ResponseParserError as error:
        what = f"{where} answers, but not as S3 does: correct its endpoint in config.toml"
        raise Unreachable(what) from error


def refusal(
    where: str, code: str, message: str, status: int = 0, after: timedelta | None = None
) -> PortError:
    """The server's answer that something can't be done, as an error of ours."""
    what = f"{where}: {code}: {message}".rstrip(": ")
    if code in _BUSY or status in (429, 503):
        return Throttled(f"{what}; it is asked again later", retry_after=after)
    if code in _AWAY or (status >= 500 and status != 501):
        return Unreachable(f"{what}; look at the object store")
    if code in _DENIED or status in (401, 403):
        return AccessDenied(f"{what}; {_CURES.get(code, _CURES['AccessDenied'])}")
    cure = _REGION if status == 301 else _CURES.get(code, "")
    return Rejected(f"{what}; {cure}" if cure else what)


def unsupported(error: ClientError) -> bool:
    """The server does not know this kind of request."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = error.response.get("Error", {}).get("Code")
    return status in (405, 501) or code in ("NotImplemented", "MethodNotAllowed")


def _answered(where: str, error: ClientError) -> PortError:
    told, about = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    wait = about.get("HTTPHeaders", {}).get("retry-after", "")
    after = timedelta(seconds=int(wait)) if wait.isascii() and wait.isdecimal() else None
    status = about.get("HTTPStatusCode", 0)
    return refusal(where, told.get("Code", ""), told.get("Message", ""), status, after)


def _unanswered(where: str, error: BotoCoreError) -> PortError:
    from botocore import exceptions as e

    why = " ".join(str(error).split())
    if isinstance(error, e.HTTPClientError | e.ConnectionError | e.MetadataRetrievalError):
        return Unreachable(f"{where}: {why}; see whether its endpoint answers this machine")
    without = (
        e.NoCredentialsError,
        e.PartialCredentialsError,
        e.CredentialRetrievalError,
        e.TokenRetrievalError,
        e.UnauthorizedSSOTokenError,
        e.SSOError,
        e.ProfileNotFound,
    )
    if isinstance(error, without):
        cure = "name a file with access keys in its table's `credentials`, or a `profile`"
        return AccessDenied(f"{where}: {why}; {cure}")
    return Rejected(f"{where}: {why}")
