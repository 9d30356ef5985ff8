"""What a bucket does without its server: addresses, access keys, and what its errors become."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore import exceptions as boto
from botocore.awsrequest import AWSPreparedRequest
from botocore.parsers import ResponseParserError

from burstd.adapters.s3.bucket import S3Bucket
from burstd.adapters.s3.client import Place, client
from burstd.adapters.s3.errors import translated
from burstd.adapters.s3.keys import Keys, read
from burstd.ports.errors import AccessDenied, PortError, Rejected, Throttled, Unreachable

WHERE = "bucket b at https://s3.example.org"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of this machine's own access keys, and no question to a cloud whether it is in one."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


def file_of(path: Path, access: str = "AKID", profile: str = "default", more: str = "") -> Path:
    path.touch(0o600)
    path.write_text(
        f"[{profile}]\naws_access_key_id = {access}\naws_secret_access_key = s%(x)/+=\n{more}"
    )
    return path


def signer(address: str) -> str:
    return parse_qs(urlsplit(address).query)["X-Amz-Credential"][0].partition("/")[0]


# --- addresses


def test_amazon_is_spoken_to_by_the_name_of_the_bucket_and_others_by_a_path(
    tmp_path: Path,
) -> None:
    keys = file_of(tmp_path / "keys")
    amazon = S3Bucket(Place("b-1", "p/", region="eu-central-1", credentials=keys))
    ceph = S3Bucket(Place("b-1", "p/", "https://s3.example.org:7480", credentials=keys))

    urls = urlsplit(amazon.put_address("a/1", 60)), urlsplit(ceph.put_address("a/1", 60))
    assert ("b-1.s3.eu-central-1.amazonaws.com", "/p/a/1") == (urls[0].hostname, urls[0].path)
    assert ("s3.example.org:7480", "/b-1/p/a/1") == (urls[1].netloc, urls[1].path)
    dotted = S3Bucket(Place("b.1", "p/", region="eu-central-1", credentials=keys))
    address = dotted.put_address("a/1", 60)
    assert address.startswith("https://s3.eu-central-1.amazonaws.com/b.1/p/a/1?")
    for url in urls:
        query = parse_qs(url.query)
        assert (["AWS4-HMAC-SHA256"], ["60"]) == (query["X-Amz-Algorithm"], query["X-Amz-Expires"])
        assert ["host"] == query["X-Amz-SignedHeaders"], "whoever has it need send nothing else"


def test_the_endpoint_is_the_configured_one_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.example.org")
    bucket = S3Bucket(Place("b-1", credentials=file_of(tmp_path / "keys")))

    assert "b-1.s3.amazonaws.com" == urlsplit(bucket.get_address("a", 60)).hostname


def test_old_servers_find_the_digest_that_they_ask_for(tmp_path: Path) -> None:
    sent: list[AWSPreparedRequest] = []
    s3 = client(Place("b", endpoint="http://127.0.0.1:1"), Keys("a", "b"))

    def caught(request: AWSPreparedRequest, **_: object) -> None:
        sent.append(request)
        raise InterruptedError

    s3.meta.events.register("before-send.s3.DeleteObjects", caught)
    with pytest.raises(InterruptedError):
        s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k"}]})
    assert 24 == len(sent[0].headers["Content-MD5"])


def test_nothing_of_boto3_is_loaded_before_a_bucket_is_used(tmp_path: Path) -> None:
    place = f"Place('b', credentials=Path({str(file_of(tmp_path / 'keys'))!r}))"
    program = (
        "import sys; from pathlib import Path; import burstd.app\n"
        "from burstd.app import S3Bucket, Place\n"
        f"bucket = S3Bucket({place}); assert not {{'boto3', 'botocore'}} & set(sys.modules)\n"
        "bucket.get_address('a', 60); assert 'boto3' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "" == done.stderr


# --- access keys


def test_keys_are_those_of_the_profile(tmp_path: Path) -> None:
    file = file_of(tmp_path / "keys", profile="ours", more="aws_session_token = T\n")

    assert Keys("AKID", "s%(x)/+=", "T") == read(file, "ours")
    with pytest.raises(AccessDenied, match=r"has no \[default\]"):
        read(file, "default")


def test_keys_never_show() -> None:
    assert "Keys(access='AKID')" == repr(Keys("AKID", "secret", "token"))


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o777])
def test_keys_that_others_can_read_are_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    file = file_of(tmp_path / "keys")
    file.chmod(mode)

    with pytest.raises(AccessDenied, match=f"mode {mode:04o}, others can read it: chmod 600 "):
        S3Bucket(Place("b", credentials=file))
    file.chmod(0o400)
    S3Bucket(Place("b", credentials=file))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"has no \[default\]: add it"),
        ("[default]\naws_access_key_id = AKID\n", "has no aws_secret_access_key: add it"),
        ("TOPSECRET\n", "is not in the format of ~/.aws/credentials"),
        ("[default]\nTOPSECRET\n", "is not in the format of ~/.aws/credentials"),
        ("[default]\n[default]\n", "is not in the format of ~/.aws/credentials"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_file_without_keys_is_told_without_what_it_holds(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(AccessDenied, match=told) as caught:
        read(file, "default")

    assert "TOPSECRET" not in str(caught.value)
    assert caught.value.__cause__ is None or "TOPSECRET" not in str(caught.value.__cause__)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied, match=f"{tmp_path}/none cannot be read: .*No such file"):
        read(tmp_path / "none", "default")


def test_new_keys_in_the_file_hold_at_once(tmp_path: Path) -> None:
    file = file_of(tmp_path / "keys")
    bucket = S3Bucket(Place("b", credentials=file))
    assert "AKID" == signer(bucket.get_address("a", 60))

    file_of(file, "AKIDNEW")
    assert "AKIDNEW" == signer(bucket.get_address("a", 60))


def test_what_the_environment_holds_is_no_match_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    file = file_of(tmp_path / "keys")

    assert "AKID" == signer(S3Bucket(Place("b", credentials=file)).get_address("a", 60))
    assert "AKIDENV" == signer(S3Bucket(Place("b")).get_address("a", 60))


def test_keys_that_come_later_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = S3Bucket(Place("b"))
    with pytest.raises(AccessDenied, match="name a file with access keys"):
        bucket.get_address("a", 60)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert "AKIDENV" == signer(bucket.get_address("a", 60))


def test_a_profile_without_a_file_is_one_of_amazons_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(tmp_path / "theirs", "AKIDTHEIRS", "theirs")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    address = S3Bucket(Place("b", profile="theirs")).get_address("a", 60)
    assert "AKIDTHEIRS" == signer(address)
    with pytest.raises(AccessDenied, match="ours"):
        S3Bucket(Place("b", profile="ours")).get_address("a", 60)


# --- errors


def answer(code: str, status: int, **headers: str) -> Exception:
    about = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    told = {"Error": {"Code": code, "Message": "words"}, "ResponseMetadata": about}
    return boto.ClientError(told, "ListObjectsV2")  # type: ignore[arg-type]


ERRORS = [
    (answer("SlowDown", 503), Throttled, "asked again"),
    (answer("ServiceUnavailable", 503), Throttled, "asked again"),
    (answer("TooManyRequests", 429), Throttled, "asked again"),
    (answer("", 503), Throttled, "asked again"),
    (answer("Throttling", 400), Throttled, "asked again"),
    (answer("InternalError", 500), Unreachable, "InternalError: words; look at the object store"),
    (answer("502", 502), Unreachable, "look at the object store"),
    (answer("RequestTimeout", 400), Unreachable, "look at the object store"),
    (answer("AccessDenied", 403), AccessDenied, "let its access keys list"),
    (answer("Forbidden", 403), AccessDenied, "let its access keys list"),
    (answer("InvalidAccessKeyId", 403), AccessDenied, "correct or renew its access keys"),
    (answer("SignatureDoesNotMatch", 403), AccessDenied, "correct or renew its access keys"),
    (answer("ExpiredToken", 400), AccessDenied, "correct or renew its access keys"),
    (answer("RequestTimeTooSkewed", 403), AccessDenied, "set this machine's clock"),
    (answer("NoSuchBucket", 404), Rejected, "make the bucket"),
    (answer("AuthorizationHeaderMalformed", 400), Rejected, "correct its region"),
    (answer("301", 301), Rejected, "correct its region"),
    (answer("NotImplemented", 501), Rejected, "NotImplemented: words"),
    (answer("InvalidArgument", 400), Rejected, "InvalidArgument: words"),
    (boto.EndpointConnectionError(endpoint_url="x"), Unreachable, "whether its endpoint answers"),
    (boto.ConnectTimeoutError(endpoint_url="x"), Unreachable, "whether its endpoint answers"),
    (boto.ReadTimeoutError(endpoint_url="x"), Unreachable, "whether its endpoint answers"),
    (boto.ConnectionClosedError(endpoint_url="x"), Unreachable, "whether its endpoint answers"),
    (boto.SSLError(endpoint_url="x", error=OSError()), Unreachable, "whether its endpoint answers"),
    (ResponseParserError("<html>"), Unreachable, "not as S3 does: correct its endpoint"),
    (boto.NoCredentialsError(), AccessDenied, "name a file with access keys"),
    (boto.PartialCredentialsError(provider="x", cred_var="y"), AccessDenied, "name a file"),
    (boto.ProfileNotFound(profile="x"), AccessDenied, "name a file with access keys"),
    (boto.CredentialRetrievalError(provider="x", error_msg="y"), AccessDenied, "name a file"),
    (boto.ParamValidationError(report="x"), Rejected, "validation failed"),
]


@pytest.mark.parametrize(("raised", "ours", "told"), ERRORS, ids=lambda value: str(value)[:50])
def test_every_error_leaves_as_ours_with_the_place_and_the_cure(
    raised: Exception, ours: type[PortError], told: str
) -> None:
    with pytest.raises(PortError) as caught, translated(WHERE):
        raise raised

    assert ours is type(caught.value)
    assert str(caught.value).startswith(WHERE)
    assert told in str(caught.value)
    assert raised is caught.value.__cause__


def test_a_server_may_say_when_to_come_again() -> None:
    for given, after in (("7", timedelta(seconds=7)), ("Fri, 01 Jan 2027", None), ("", None)):
        with pytest.raises(Throttled) as caught, translated(WHERE):
            raise answer("SlowDown", 503, **{"retry-after": given})
        assert after == caught.value.retry_after


def test_what_is_not_the_servers_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), translated(WHERE):
        raise ZeroDivisionError
