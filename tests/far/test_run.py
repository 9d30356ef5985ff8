"""The runner: real containers, real signals, the user's rights only."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from burstd.far import gpus
from burstd.far.runtimes import Bubblewrap, Container
from tests.far.kit import (
    FarEnd,
    await_gone,
    await_line,
    children,
    finish,
    kill,
    marked,
    submit,
    with_fuse,
)

STUDY = "/home/alice/study"


def test_exit_code_streams_and_record(site: FarEnd) -> None:
    submit(site, "#!/bin/bash\necho out; echo err >&2; exit 3\n")
    assert finish(site.run())[0] == 3
    end = site.end()
    assert (end.exit_code, end.signal, end.reason) == (3, None, "exited")
    assert (site.output(), site.output("stderr")) == ("out\n", "err\n")
    assert end.stdout is not None and end.stdout.size == 4
    assert end.runtime == "bwrap" and end.runtime_version[0].isdigit()


def test_merged_streams_keep_their_order(site: FarEnd) -> None:
    submit(site, "#!/bin/bash\necho 1; echo 2 >&2; echo 3\n", merged=True)
    assert finish(site.run())[0] == 0
    assert site.output() == "1\n2\n3\n"
    assert not (site.run_dir / "io/stderr").exists()
    assert site.end().stderr is None


def test_python_script_sees_its_place(site: FarEnd) -> None:
    site.env = {"SLURM_JOB_ID": "99", "SLURM_NNODES": "2", "TOP_SECRET": "hush"}
    script = (
        "#!/usr/bin/env -S python3 -u\n"
        "import os, sys\n"
        "print(sys.argv[1:], os.getcwd(), open('beam.inp').read(), os.getuid())\n"
        "print(sorted(os.environ))\n"
        "print(os.environ['SLURM_JOB_ID'], os.environ['SLURM_NNODES'], os.environ['HOME'])\n"
        "print(sys.argv[0], os.path.expanduser('~'), os.popen('whoami').read().strip())\n"
    )
    submit(site, script, {f"{STUDY}/beam.inp": b"*NODE"}, argv=("a b", "c\nd", ""))
    assert finish(site.run())[0] == 0
    first, names, slurm, last = site.output().splitlines()
    owner = site.run_dir.stat().st_uid
    assert first == f"['a b', 'c\\nd', ''] {STUDY} *NODE {owner}"
    assert "TOP_SECRET" not in names
    assert slurm == "4711 2 /home/alice"
    assert last == "/.burst/slurm_script /home/alice alice"


def test_nothing_of_the_host_is_visible(site: FarEnd) -> None:
    (site.home / "secret").write_text("s")
    submit(
        site,
        (
            "#!/bin/bash\n"
            f"ls -d {site.home}/secret {site.run_dir}/order.json 2>/dev/null\n"
            "echo home: /home/* /.burst/* /tmp/*\n"
            "echo nets: $(cut -sd: -f1 /proc/net/dev)\n"
            "echo procs: $(ls /proc | grep -c '^[0-9]*$')\n"
            "(exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null || echo no network\n"
            "env | grep -c TOP_SECRET\n"
        ),
    )
    site.env = {"TOP_SECRET": "hush"}
    finish(site.run())
    home, nets, count, network, secrets = site.output().splitlines()
    shared = " ".join(f"/.burst/{name}" for name in ("bin", "req", "requests", "slurm_script"))
    assert home == f"home: /home/alice {shared} /tmp/*"
    assert (nets, network, secrets) == ("nets: lo", "no network", "0")
    assert int(count.split()[1]) < 8


def test_second_start_is_refused_without_a_trace(site: FarEnd) -> None:
    submit(site, "#!/bin/sh\nexit 0\n")
    assert finish(site.run())[0] == 0
    before = {p.name: p.stat().st_mtime_ns for p in site.run_dir.iterdir()}
    code, words = finish(site.run())
    assert code == 75 and "started before" in words
    assert before == {p.name: p.stat().st_mtime_ns for p in site.run_dir.iterdir()}


def test_two_starts_at_once_start_one(site: FarEnd) -> None:
    submit(site, "#!/bin/sh\necho once\n")
    racers = [site.run() for _ in range(4)]
    assert sorted(finish(racer)[0] for racer in racers) == [0, 75, 75, 75]
    assert site.output() == "once\n"


def test_payload_killed_by_a_signal(site: FarEnd) -> None:
    submit(site, "#!/usr/bin/python3\nimport os\nos.kill(os.getpid(), 9)\n")
    assert finish(site.run())[0] == 137
    end = site.end()
    assert (end.exit_code, end.signal, end.reason) == (137, 9, "signalled")


def test_missing_interpreter_is_told(site: FarEnd) -> None:
    submit(site, "#!/no/such/interpreter\n")
    code, words = finish(site.run())
    assert code == 126 and "interpreter" in words
    assert site.end().reason == "failed_to_start"


def test_deadline_ends_a_payload_that_ignores_term(
    site: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"86{os.getpid()}1"
    submit(site, f"#!/bin/bash\ntrap '' TERM\nsleep {mark}\n", time_limit_s=1)
    assert finish(site.run())[0] == 1
    assert site.end().reason == "timeout"
    assert "burstd: the job has reached its time limit of 1 s\n" in site.output("stderr")
    assert not marked(mark)


def test_term_gives_the_payload_its_last_words(site: FarEnd) -> None:
    mark = f"86{os.getpid()}2"
    submit(
        site,
        (
            "#!/bin/bash\ntrap 'echo last words; exit 9' TERM\n"
            f"sleep {mark} & setsid sleep {mark} & echo ready\nwait\n"
        ),
    )
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    left = marked(mark)
    assert left
    runner.terminate()
    assert finish(runner)[0] == 9
    assert site.output() == "ready\nlast words\n"
    assert site.end().reason == "cancelled"
    assert not marked(mark)


def test_term_to_every_process_of_the_job_as_slurm_sends_it(site: FarEnd) -> None:
    submit(
        site,
        (
            "#!/usr/bin/python3 -u\nimport signal, sys\n"
            "print('ready')\nsignal.sigwait({signal.SIGUSR1} if 0 else {signal.SIGTERM})\n"
            "print('last words'); sys.exit(9)\n"
        ).replace("print('ready')", "signal.pthread_sigmask(0, {15}); print('ready')"),
    )
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    for pid in [runner.pid, *_below(runner.pid)]:
        kill(pid, signal.SIGTERM)
    assert finish(runner)[0] == 9
    assert "last words" in site.output()
    assert site.end().exit_code == 9


def test_term_reaches_a_payload_whose_container_changes_hands_just_then(site: FarEnd) -> None:
    """Slurm's own ends bwrap's outer process, and may miss what was below it."""
    submit(site, "#!/bin/bash\ntrap 'echo last words; exit 9' TERM\necho ready; sleep 300 & wait\n")
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    (inner,) = children(runner.pid)
    (outer,) = children(inner)
    kill(inner, signal.SIGSTOP)  # it hears of both at once
    kill(outer, signal.SIGTERM)
    runner.terminate()
    time.sleep(0.2)
    kill(inner, signal.SIGCONT)
    assert finish(runner)[0] == 9
    assert "ready\nlast words\n" == site.output()


@pytest.mark.parametrize("before", [":", "trap '' USR1 USR2"])
def test_user_signals_arrive_once(site: FarEnd, before: str) -> None:
    """A target's batch script may ignore them until we listen."""
    site.within = ("sh", "-c", f'{before}; exec "$@"', "sh")
    submit(
        site,
        (
            "#!/usr/bin/python3 -u\nimport signal\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, {10, 12}); print('ready')\n"
            "print(signal.sigwait({10, 12})); print('again'); print(signal.sigwait({10, 12}))\n"
        ),
    )
    runner = site.run()
    place = site.run_dir / "io/stdout"
    await_line(place, "ready", lambda: runner.poll() is None)
    runner.send_signal(signal.SIGUSR1)
    await_line(place, "again", lambda: runner.poll() is None)
    runner.send_signal(signal.SIGUSR2)
    assert finish(runner)[0] == 0
    assert site.output().split() == ["ready", "10", "again", "12"]


@pytest.mark.parametrize("victim", ["keeper", "runner"])
def test_kill_9_leaves_no_payload(site: FarEnd, victim: str) -> None:
    mark = f"86{os.getpid()}3"
    submit(site, f"#!/bin/bash\ntrap '' TERM\nsetsid sleep {mark} & echo ready\nsleep {mark}\n")
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    left = marked(mark)
    below = _below(runner.pid)
    assert len(left) >= 1
    kill(runner.pid if victim == "keeper" else children(runner.pid)[0], signal.SIGKILL)
    finish(runner)
    await_gone([*left, *below])
    assert not marked(mark)


def test_background_processes_do_not_outlive_the_script(site: FarEnd) -> None:
    mark = f"86{os.getpid()}4"
    submit(site, f"#!/bin/bash\n(setsid sleep {mark} &)\nexit 0\n")
    assert finish(site.run())[0] == 0
    assert not marked(mark)


def test_status_while_running_and_live_files(site: FarEnd) -> None:
    submit(site, "#!/bin/bash\necho 12345 > beam.sta; echo ready; sleep 1000\n", live=("*.sta",))
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    with site.serving() as (client, _):
        now = client.status()
    runner.terminate()
    finish(runner)
    assert now.started == 1 and now.busy and now.end is None and now.stdout == 6
    assert now.status is not None and now.status["attempt"] == 1
    assert [(f.path, f.size) for f in now.live] == [(f"{STUDY}/beam.sta", 6)]
    with site.serving() as (client, _):
        after = client.status()
    assert after.end is not None and after.end["reason"] == "cancelled" and not after.busy


def test_disk_full_at_the_end_is_told(small_site: FarEnd, _containers: None) -> None:
    submit(small_site, "#!/bin/bash\ncat /dev/zero > fill 2>/dev/null\nexit 0\n", time_limit_s=2)
    code, words = finish(small_site.run())
    assert code == 74 and "No space left" in words
    assert not (small_site.run_dir / "end.json").exists()


def test_squashfs_image(site: FarEnd) -> None:
    image = site.home / "image.sqfs"
    tree = site.home / "image"
    for name in ("usr", "etc", "dev", "proc"):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    for name in ("bin/dash", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"):
        copy = tree / "usr" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-L", f"/usr/{name}", str(copy)], check=True)
    (tree / "bin/sh").symlink_to("dash")
    made = subprocess.run(
        ["mksquashfs", str(tree), str(image), "-quiet", "-no-progress"],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("no mksquashfs")
    site.image, site.within = image, with_fuse(site.home)
    submit(site, "#!/bin/sh\necho in squashfs; kill -s USR1 $$\n")
    code, words = finish(site.run())
    assert code == 138, words
    assert site.output() == "in squashfs\n"


def state(site: FarEnd) -> str:
    return subprocess.run(site.argv("state"), check=True, text=True, stdout=subprocess.PIPE).stdout


def test_clean_refuses_while_running_and_removes_after(site: FarEnd) -> None:
    assert state(site) == "absent\n"
    submit(
        site, ("#!/bin/bash\nmkdir -p a/b; ln -s / a/b/root; chmod 0 a/b; echo ready; sleep 1000\n")
    )
    assert state(site) == "staging\n"
    runner = site.run()
    await_line(site.run_dir / "io/stdout", "ready", lambda: runner.poll() is None)
    assert state(site) == "running\n"
    assert subprocess.run(site.argv("clean"), check=False).returncode == 75
    runner.terminate()
    finish(runner)
    assert state(site) == "ended\n"
    assert stat.S_ISDIR(site.run_dir.stat().st_mode)
    assert subprocess.run(site.argv("clean"), check=False).returncode == 0
    assert not site.run_dir.exists()
    assert subprocess.run(site.argv("clean"), check=False).returncode == 0
    assert state(site) == "absent\n"


def _below(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for child in found for below in _below(child)]


LDCONFIG = """\
5 libs found in cache `/etc/ld.so.cache'
\tlibnvidia-ml.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libnvidia-ml.so.1
\tlibcuda.so.1 (libc6,x86-64) => /opt/driver/libcuda.so.1
\tlibcuda.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libcuda.so.1
\tlibcuda.so.1 (libc6) => /lib/i386-linux-gnu/libcuda.so.1
\tlibcudart.so.12 (libc6,x86-64) => /usr/local/cuda/lib64/libcudart.so.12
"""


def test_the_drivers_libraries_are_those_that_the_linker_takes() -> None:
    assert [
        ("libcuda.so.1", "/opt/driver/libcuda.so.1"),
        ("libnvidia-ml.so.1", "/lib/x86_64-linux-gnu/libnvidia-ml.so.1"),
    ] == gpus.of_driver(LDCONFIG)


@pytest.mark.parametrize(
    ("env", "granted"),
    [
        ({"SLURM_JOB_GPUS": "0,1"}, True),
        ({"CUDA_VISIBLE_DEVICES": "0"}, True),
        ({"CUDA_VISIBLE_DEVICES": ""}, False),
        ({"SLURM_JOB_ID": "7"}, False),
    ],
)
def test_slurm_tells_who_has_gpus(env: dict[str, str], granted: bool) -> None:
    assert granted == gpus.granted(env)


def test_a_container_with_gpus_has_their_devices_and_the_drivers_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "libcuda.so.1"
    driver.write_text("the driver\n")
    monkeypatch.setattr(gpus, "libraries", lambda: [("libcuda.so.1", str(driver))])
    monkeypatch.setattr(gpus, "devices", lambda: ["/dev/fuse"])
    look = 'cat "${LD_LIBRARY_PATH%%:*}/libcuda.so.1"; echo "${LD_LIBRARY_PATH#*:}"; ls /dev/fuse'
    env = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/opt/own"}
    place, program = str(tmp_path), ("/bin/sh", "-c", look)
    plain = Container("/", place, place, (), program, "/", env, "user", "/")

    def seen(container: Container) -> str:
        start = Bubblewrap().start(container)
        done = subprocess.run(
            list(start.argv), env=dict(start.env), pass_fds=start.keep, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return done.stdout

    assert "the driver\n/opt/own\n/dev/fuse\n" == seen(replace(plain, gpus=True))
    assert "/opt/own\n" == seen(plain)
