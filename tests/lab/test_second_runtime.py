"""Where Apptainer is not to be had, bubblewrap takes over behind the same port."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Site

pytestmark = pytest.mark.lab


def test_without_apptainer_the_job_runs_in_bubblewrap(site: Site) -> None:
    nodes = [site.lab.host(name) for name in ("c1", "c2")]
    for node in nodes:
        node.sh("mount --bind /dev/null /usr/bin/apptainer")
    try:
        home = site.study("wrapped")
        site.fill()
        site.start(high="0.5", low="0.1", target="max_gpus = 1")
        body = "ccx -i beam\nls / > roots\ncat /proc/net/dev | wc -l > devices\nenv > variables"
        options = ("--gres=gpu:1",)
        job = site.submit("wrapped", f"{body}\nls /dev > dev", directory=home, options=options)
        site.until(lambda: site.state(job) == "COMPLETED", "it ran")
        roots = site.ctl.sh(f"cat {home}/roots", user="alice").split()
        variables = site.ctl.sh(f"cat {home}/variables", user="alice")
        devices = site.ctl.sh(f"cat {home}/dev", user="alice").split()
    finally:
        for node in nodes:
            node.sh("umount /usr/bin/apptainer")

    assert "scratch" not in roots  # nothing of the far host but the run directory
    assert "home" in roots
    assert {"nvidia0", "nvidiactl"} <= set(devices)
    assert "CUDA_VISIBLE_DEVICES=" in variables
    assert "cae01" not in variables.split("PATH=")[0].split("USER=")[0]
    assert "3" == site.ctl.sh(f"cat {home}/devices", user="alice").strip()  # header and lo
