"""Where a ledger may lie, and how its file is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from burstd.adapters.store.sqlite import engine_on, file_system, journal_mode
from burstd.ports.errors import Unreachable

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:26 / /var/lib rw - xfs /dev/vdb rw
40 31 0:40 / /var/lib/nfs\\040data rw shared:7 - nfs4 server:/export rw
41 31 0:41 / /var/lib/fuse rw - fuse.sshfs me@there: rw
42 31 0:42 / /var/lib/both rw - nfs server:/both rw
43 42 0:43 / /var/lib/both rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/var/lib/burstd", "xfs"),
        ("/var/library", "ext4"),
        ("/var/lib/nfs data/burstd", "nfs4"),
        ("/var/lib/fuse", "sshfs"),
        ("/var/lib/both/deep/down", "tmpfs"),
        ("/", "ext4"),
    ],
)
def test_the_mount_farthest_down_and_last_tells_the_type(directory: str, kind: str) -> None:
    assert kind == file_system(Path(directory), MOUNTS)


def test_a_ledger_on_a_network_file_system_is_refused_and_not_made(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"22 1 254:0 / / rw - ext4 /dev/vda rw\n9 22 0:9 / {tmp_path} rw - nfs a:b rw\n"
    )
    with pytest.raises(Unreachable, match=r"network file system \(nfs\).*state\.database"):
        engine_on(tmp_path / "ledger.db", mounts)
    assert [mounts] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "DELETE"),
        ((3, 44, 5), "DELETE"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "DELETE"),
        ((3, 50, 6), "DELETE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 2), "DELETE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
    ],
)
def test_the_write_ahead_log_is_used_only_where_it_loses_nothing(
    version: tuple[int, ...], mode: str
) -> None:
    assert mode == journal_mode(version)


def test_a_ledger_on_this_disk_is_synchronous(tmp_path: Path) -> None:
    engine = engine_on(tmp_path / "ledger.db")
    with engine.connect() as db:
        assert 2 == db.exec_driver_sql("PRAGMA synchronous").scalar()  # FULL
    engine.dispose()
