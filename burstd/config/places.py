"""Tables of the places where jobs and their files go: links, targets, buckets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from burstd.config.table import ExistingPath, Table
from burstd.config.units import Duration, Egress, GpuPrice, Price, Rate

Speed = Annotated[float, Field(ge=0.01, le=100)]


def _endpoint(text: str) -> str:
    if text:
        url = urlsplit(text)
        _ = url.port  # raises too
        if url.scheme not in ("https", "http") or not url.hostname or url.query or url.fragment:
            raise ValueError("expected https://HOST or https://HOST:PORT")
        if url.username is not None:
            raise ValueError("access keys do not belong in the configuration: see `credentials`")
    return text.rstrip("/")


def _bucket(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError(
            "expected the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens"
        )
    return text


def _prefix(text: str) -> str:
    """With one slash at its end and none before it."""
    parts = [part for part in text.split("/") if part]
    if not parts or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in parts):
        raise ValueError(
            "expected a directory in the bucket, like 'burstd/': letters, digits, - and _"
        )
    return "/".join(parts) + "/"


class LinkTable(Table):
    """An encrypted way to a target. Keys and addresses are in burst-netd's own file."""

    kind: Literal["wireguard"] = "wireguard"
    """burst-netd makes the link."""
    gate_host: str = "10.200.0.1"
    """The far gate's address inside the link, where its SSH answers."""
    gate_user: str = "burst"
    """Account there that may change the WireGuard peers of ``gate_interface``."""
    gate_interface: str = "wg0"
    """The far end's WireGuard interface."""
    gate_command: tuple[str, ...] = ("wg",)
    """How that account runs wg(8): ["wg"] or ["sudo", "-n", "wg"]."""
    known_hosts: ExistingPath = Field(default=Path("/etc/burstd/known_hosts"))
    """File with the gate's SSH host key."""
    rate: Rate | None = Field(default=None, examples=["500 Mbit/s"])
    """What files of all bursts may take of the line together, each way counted; inputs get more of
    it than live files, and those more than results. Left out: all that it carries."""


class TargetTable(Table):
    """A place where jobs can run."""

    plugin: str = "slurm"
    """Entry point in the group burstd.targets."""
    price: Price = Field(default="0.05 EUR/core-hour", validate_default=True)
    """What a core-hour costs there."""
    egress: Egress | None = Field(default=None, examples=["0.08 EUR/GB"])
    """What results cost on their way home, by their size; of 10^9 bytes. Left out: nothing."""
    cores: int | None = Field(default=None, ge=1, examples=[2048])
    """Most cores that bursts may have there at once; what does not fit goes to the next target."""
    gpu_price: GpuPrice | None = Field(default=None, examples=["1.80 EUR/GPU-hour"])
    """What a GPU-hour costs there, beside the cores that come with it. Left out: nothing."""
    gpus: int | None = Field(default=None, ge=1, examples=[64])
    """Most GPUs that bursts may have there at once."""
    speed: dict[str, Speed] = Field(default_factory=dict)
    """How fast an application runs there, against on-prem: {openfoam = 1.3}. What is left out is
    measured: by runs of the same users' jobs here and there."""
    link: str | None = None
    """Name of the link that leads there; none where the network is private already."""
    rate: Rate | None = Field(default=None, examples=["2 Gbit/s"])
    """As [links.*] has it, for a target without a link."""
    bucket: str | None = Field(default=None, examples=["cloud"])
    """Name of the bucket that inputs and results pass through, sealed; left out: they go over the
    SSH connection."""
    on_demand_age: Duration = Field(default="7d", validate_default=True)
    """How long results that a profile calls on demand stay there behind their job's end, for burst
    pull; "0s": they come home with the others."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The plugin's own table."""


class BucketTable(Table):
    """A bucket of an object store that speaks S3, which a target can fetch from and bring to. What
    lies there is sealed here. Its access keys never stand in this file."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = ""
    """URL of the object store, like https://s3.example.org; empty: Amazon S3."""
    region: str = Field(default="us-east-1", min_length=1)
    """Where the bucket is; object stores that know no regions take us-east-1."""
    bucket: Annotated[str, AfterValidator(_bucket)] = "burstd"
    """Its name there."""
    prefix: Annotated[str, AfterValidator(_prefix)] = "burstd/"
    """The directory in it that is this burstd's alone."""
    credentials: ExistingPath | None = Field(
        default=None, examples=["/etc/burstd/bucket-credentials"]
    )
    """File with the access keys, in the format of ~/.aws/credentials, owned by burstd, mode 0600.
    Left out: the environment, ~/.aws or the machine's role gives them."""
    profile: str = ""
    """Which of the profiles there; empty: default."""
    key: Literal["burst", "user", "account"] = "burst"
    """Whose files are sealed with one key: each burst's, all of a user's, all of an account's. What
    is sealed with one key is sent once for all."""
    keep: Duration = Field(default="7d", validate_default=True)
    """How long inputs sealed with a user's or an account's key stay there for later bursts."""
    site_key: ExistingPath = Field(default=Path("/etc/burstd/site.key"), validate_default=True)
    """File with the key that wraps the others: 32 random bytes in hexadecimal, owned by burstd,
    mode 0600."""
