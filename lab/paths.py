"""Where a lab keeps its things. Everything is below `build` of the checkout: `build/lab`, and
`build/lab-NAME` for a further one beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """A lab's folders in one checkout."""

    checkout: Path
    name: str = ""  #: of a further one

    @property
    def base(self) -> Path:
        return self.made.with_name(f"lab-{self.name}") if self.name else self.made

    @property
    def made(self) -> Path:
        """What the labs of one checkout have together."""
        return self.checkout / "build" / "lab"

    @property
    def cache(self) -> Path:
        """What is slow to make and survives `down`."""
        return self.made / "cache"

    @property
    def images(self) -> Path:
        return self.made / "images"

    @property
    def run(self) -> Path:
        """The running lab: hosts, shared folders, state. `down` moves it to `last`."""
        return self.base / "run"

    @property
    def last(self) -> Path:
        """What the lab left that ran before: logs and homes, to look at."""
        return self.base / "last"

    @property
    def state(self) -> Path:
        return self.run / "state"

    @property
    def spank(self) -> Path:
        return self.base / "spank" / "burst_spank.so"

    @property
    def native(self) -> Path:
        """The sources of the lab's small C programs and the holder script."""
        return Path(__file__).parent / "native"

    @property
    def trixie(self) -> Path:
        """The root that all hosts share, read-only."""
        return self.cache / "trixie"

    @property
    def legacy(self) -> Path:
        """The root of the legacy site's one host, read-only."""
        return self.cache / "legacy"

    @property
    def rgw(self) -> Path:
        """The root of the S3 server, read-only."""
        return self.cache / "rgw"

    @property
    def ccx(self) -> Path:
        return self.cache / "ccx"

    @property
    def site_packages(self) -> Path:
        return self.cache / "site"

    @property
    def programs(self) -> Path:
        return self.cache / "bin"

    def host(self, name: str) -> Path:
        return self.run / "hosts" / name

    def share(self, site: str, folder: str) -> Path:
        """The folder behind a path that all hosts of a site share."""
        return self.run / "shared" / site / folder.strip("/")
