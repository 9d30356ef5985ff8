"""The S3 server in the cloud: for who is there, and for the site through the tunnel alone."""

from __future__ import annotations

import base64
import hmac
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from demo import install
from lab import Bucket, Host, Lab, NotUp
from lab.facts import BUCKET_PORT, GATE_PORT, HOSTS
from lab.paths import Paths

pytestmark = pytest.mark.lab

FOR_EVER = 4_000_000_000  #: seconds since 1970: when a signature ends
ASK = """
import sys, urllib.error, urllib.request
method, url = sys.argv[1:]
body = sys.stdin.buffer.read() or None
request = urllib.request.Request(url, body, {"Content-Type": ""}, method=method)
try:
    with urllib.request.urlopen(request, timeout=2) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as refused:
    print(refused.code)
except OSError:
    print("no way")
"""
TELL_NETD = """
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect("/run/burst-netd/netd.sock")
    sock.sendall(sys.argv[1].encode() + b"\\n")
    print(sock.makefile().readline())
"""


@pytest.fixture
def lab(_lab: Lab) -> Iterator[Lab]:
    """The lab with its bucket, and a site without a tunnel that could have one."""
    _lab.up()
    _lab.wan.set()
    install.stop(_lab)
    install.install(_lab)
    _lab.bucket_up()
    yield _lab
    install.stop(_lab)


def signed(bucket: Bucket, method: str, path: str) -> str:
    """The URL of an object, with a signature in it (the old one: it takes two lines)."""
    text = f"{method}\n\n\n{FOR_EVER}\n/{bucket.name}/{path}"
    digest = hmac.digest(bucket.secret_key.encode(), text.encode(), "sha1")
    words = {"AWSAccessKeyId": bucket.access_key, "Expires": FOR_EVER}
    query = urlencode({**words, "Signature": base64.b64encode(digest).decode()})
    return f"{bucket.endpoint}/{bucket.name}/{path}{'&' if '?' in path else '?'}{query}"


def ask(host: Host, bucket: Bucket, method: str, path: str, body: str = "") -> str:
    """What the server says to a host, as code and content."""
    return fetch(host, method, signed(bucket, method, path), body)


def fetch(host: Host, method: str, url: str, body: str = "") -> str:
    return host.run(["python3", "-c", ASK, method, url], input=body).stdout.strip()


def open_tunnel(lab: Lab) -> None:
    install.start_netd(lab)
    asked = json.dumps({"verb": "enrol", "link": "cloud"})
    answer = lab.host("px").run(["python3", "-c", TELL_NETD, asked], user="burstd").stdout
    assert json.loads(answer) == {}


def packets(pcap: Path, which: str) -> list[str]:
    argv = ["tcpdump", "-n", "-r", str(pcap), which]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_site_reaches_it_through_the_tunnel_and_by_no_other_way(
    lab: Lab, tmp_path: Path
) -> None:
    px, login, bucket = lab.host("px"), lab.host("login"), lab.bucket()
    with lab.wan.capture(tmp_path / "wan.pcap") as pcap:
        assert ask(px, bucket, "GET", "beam") == "no way"
        open_tunnel(lab)
        assert ask(px, bucket, "PUT", "beam", "in the clear") == "200"
        assert ask(px, bucket, "GET", "beam") == "200 in the clear"
        assert ask(login, bucket, "GET", "beam") == "200 in the clear"
    install.stop(lab)
    assert ask(px, bucket, "GET", "beam") == "no way"
    assert packets(pcap, f"udp port {GATE_PORT}")
    assert packets(pcap, f"not arp and not udp port {GATE_PORT}") == []
    assert b"in the clear" not in pcap.read_bytes()


def test_it_answers_at_no_address_but_the_tunnels(lab: Lab) -> None:
    login = HOSTS["login"]
    for address in ("127.0.0.1", login.address, login.wan_address):
        url = f"http://{address}:{BUCKET_PORT}/"
        assert fetch(lab.host("login"), "GET", url) == "no way"


def test_it_opens_for_its_keys_alone(lab: Lab) -> None:
    login, bucket = lab.host("login"), lab.bucket()
    assert ask(login, bucket, "PUT", "mine", "x") == "200"
    assert ask(login, replace(bucket, secret_key="guessed"), "GET", "mine") == "403"
    assert fetch(login, "GET", f"{bucket.endpoint}/{bucket.name}/mine") == "403"


def test_what_is_overwritten_or_deleted_is_gone(lab: Lab) -> None:
    login, bucket = lab.host("login"), lab.bucket()
    for content in ("old", "new"):
        assert ask(login, bucket, "PUT", "once", content) == "200"
    assert ask(login, bucket, "GET", "?versions").count("<Key>once</Key>") == 1
    assert ask(login, bucket, "GET", "once") == "200 new"
    assert ask(login, bucket, "DELETE", "once") == "204"
    assert "<Key>once</Key>" not in ask(login, bucket, "GET", "?versions")


def test_a_dead_server_comes_back_to_its_objects(lab: Lab) -> None:
    login, bucket = lab.host("login"), lab.bucket()
    assert ask(login, bucket, "PUT", "kept", "x") == "200"
    lab.host("rgw").stop_service("radosgw", signal.SIGKILL)
    assert ask(login, bucket, "GET", "kept") == "no way"
    assert lab.bucket_up() == bucket
    assert ask(login, bucket, "GET", "kept") == "200 x"


def test_it_outlives_the_gates_end_of_the_tunnel(lab: Lab) -> None:
    login, bucket = lab.host("login"), lab.bucket()
    assert ask(login, bucket, "PUT", "kept", "x") == "200"
    login.restart_service("wireguard")
    assert ask(login, bucket, "GET", "kept") == "200 x"


@pytest.mark.parametrize("service", ["ceph-mon", "ceph-osd"])
def test_without_what_kept_the_objects_all_is_new(lab: Lab, service: str) -> None:
    login, bucket = lab.host("login"), lab.bucket()
    assert ask(login, bucket, "PUT", "lost", "x") == "200"
    lab.host("rgw").stop_service(service, signal.SIGKILL)
    fresh = lab.bucket_up()
    assert lab.bucket() == fresh
    assert fresh.access_key != bucket.access_key
    assert ask(login, bucket, "GET", "lost") == "403"
    assert ask(login, fresh, "GET", "lost") == "404"


def test_its_secret_is_not_shown(lab: Lab) -> None:
    assert lab.bucket().secret_key not in repr(lab.bucket())


def test_there_is_none_without_a_start(tmp_path: Path) -> None:
    with pytest.raises(NotUp, match="the bucket is not up"):
        Lab(Paths(tmp_path)).bucket()
