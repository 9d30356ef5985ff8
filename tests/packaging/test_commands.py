"""The commands as people and scripts use them: help, exit codes, and how soon they answer."""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from burstd.cli import burst, daemon
from tests.packaging import REPOSITORY

BIN = Path(sys.executable).parent
HEAVY = ("pydantic", "sqlalchemy", "starlette", "rich", "uvicorn", "structlog")
#: The agent and ``burst-far`` run hundreds of times: the standard library only.
HEAVIER = (*HEAVY, "cryptography", "typer", "apscheduler", "wireguard_tools", "pyroute2")


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / argv[0]), *argv[1:]],
        env={"PATH": os.environ["PATH"], "TERM": "dumb", "COLUMNS": "120", **environment},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def commands(app: Any) -> list[str]:
    return [c.name or c.callback.__name__ for c in app.registered_commands]


# --- help


@pytest.mark.parametrize("program", ["burst", "burstd"])
def test_help_names_the_exit_codes(program: str) -> None:
    done = run(program, "--help")
    words = " ".join(done.stdout.split())
    assert (0, "") == (done.returncode, done.stderr)
    promised = {
        "burst": ["0 ok", "1 error", "2 wrong usage", "3 negative answer", "4 no such job",
                  "5 burstd does not answer", "6 permission denied"],
        "burstd": ["0 ok", "1 failed", "2 wrong usage", "78 the configuration has errors"],
    }  # fmt: skip
    assert [] == [code for code in promised[program] if code not in words]


@pytest.mark.parametrize(
    ("program", "command"),
    [
        *(("burst", name) for name in commands(burst.app)),
        *(("burstd", name) for name in commands(daemon.app)),
    ],
)
def test_every_command_explains_itself(program: str, command: str) -> None:
    done = run(program, command, "--help")
    assert (0, "") == (done.returncode, done.stderr)
    assert f"Usage: {program} {command}" in done.stdout


def test_what_people_ask_comes_with_an_example() -> None:
    for command in burst.app.registered_commands:
        text = command.callback.__doc__ or ""
        assert "Example: burst " in text or command.callback.__name__ == "version"  # type: ignore[union-attr]


def test_wrong_usage_is_2_and_goes_to_stderr() -> None:
    for argv in (("burst", "wyh"), ("burst", "why"), ("burstd", "run", "--confg", "x")):
        done = run(*argv)
        assert (2, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("program", ["burst", "burstd"])
def test_versions(program: str) -> None:
    assert 0 == run(program, "version").returncode


# --- burst doctor without anything to examine


def test_doctor_refuses_a_configuration_with_errors_in_words(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    for content in (None, "not toml", '[site]\nclutser = "x"\n'):
        if content is not None:
            config.write_text(content)
        done = run("burst", "doctor", "--config", str(config))
        assert (2, "") == (done.returncode, done.stdout)
        assert "Traceback" not in done.stderr
        assert f"Correct {config}" in done.stderr


def test_doctor_on_a_machine_that_has_nothing_says_what_to_do_about_each_thing(
    tmp_path: Path,
) -> None:
    (tmp_path / "apps").mkdir()
    (tmp_path / "ca").write_text("no key")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[paths]\napplications = "{tmp_path}/apps"\nssh_authority = "{tmp_path}/ca"\n'
        f'netd = "{tmp_path}/netd.sock"\n[state]\ndirectory = "{tmp_path}/none"\n'
        f'[links.far]\nknown_hosts = "{config}"\n'
        '[targets.far]\nlink = "far"\n[targets.far.settings]\nhost = "10.0.0.1"\n'
        f'known_hosts = "{config}"\nroot = "/r"\npartition = "p"\nusers = {{}}\n'
    )
    done = run("burst", "doctor", "--config", str(config), PATH=str(BIN))
    assert (1, "") == (done.returncode, done.stderr)
    failed = [line.split(":")[0] for line in done.stdout.splitlines() if "  FAILED " in line]
    assert ["munge", "slurmctld", "directory", "key"] == [line.split()[1] for line in failed]
    assert 5 == done.stdout.count("fix: ")  # and what was not asked any more


# --- quick


def loaded(statement: str, names: tuple[str, ...]) -> list[str]:
    program = f"import sys; {statement}; print(*[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_burst_imports_nothing_heavy() -> None:
    assert [] == loaded("import burstd.cli.burst", HEAVY)


def test_burstd_shows_its_help_without_the_daemon() -> None:
    assert [] == loaded("import burstd.cli.daemon", ("pydantic", "sqlalchemy", "starlette"))


def test_the_agent_imports_the_standard_library_only() -> None:
    statement = "import burstd.agent.agent, burstd.agent.ssh_depot, burstd.agent.__main__"
    assert [] == loaded(statement, HEAVIER)


def test_an_agent_that_only_looks_loads_nothing_that_takes_its_time() -> None:
    slow = ("sqlite3", "hashlib", "concurrent.futures", "shutil", "tempfile")
    assert [] == loaded("import burstd.agent.__main__", slow)


# --- exit codes of burst, against a real server


@contextmanager
def server(path: Path, status: int, body: bytes) -> Iterator[None]:
    """Answers every question so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            serving.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (200, b'{"why": ["it stays"], "groups": [], "steps": []}', 0, ""),
        (404, b'{"error": "burstd knows no job 7 of yours"}', 4, "knows no job 7"),
        (404, b"Not Found", 4, "not found"),
        (503, b'{"error": "the queue cannot be read now"}', 5, "cannot be read"),
        (400, b'{"error": "not a job id"}', 1, "not a job id"),
        (500, b"Internal Server Error", 1, "500"),
        (200, b"<html>", 1, ""),
        (200, b'{"meta"', 1, ""),
    ],
)
def test_exit_codes(tmp_path: Path, status: int, body: bytes, code: int, words: str) -> None:
    path = tmp_path / "s"
    with server(path, status, body):
        done = run("burst", "why", "7", BURSTD_SOCKET=str(path))
    assert code == done.returncode, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (code == 0) == (done.stderr == "")


def test_nobody_answers_is_5(tmp_path: Path) -> None:
    done = run("burst", "status", BURSTD_SOCKET=str(tmp_path / "none"))
    assert 5 == done.returncode
    assert "Is it running?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_socket_that_one_may_not_open_is_6(tmp_path: Path) -> None:
    path = tmp_path / "s"
    # Root may open everything unless it gives that up.
    humble = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    with server(path, 200, b"{}"):
        path.chmod(0)
        done = subprocess.run(
            [*humble, str(BIN / "burst"), "status"],
            env={"PATH": os.environ["PATH"], "BURSTD_SOCKET": str(path)},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert (6, f"burst: {path}: Permission denied\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize("job", ["a b", "7/../8", "ä", "7?x=1", "7\n8"])
def test_odd_job_names_are_asked_for_as_they_are(tmp_path: Path, job: str) -> None:
    path = tmp_path / "s"
    with server(path, 404, b'{"error": "no such job"}'):
        done = run("burst", "show", job, BURSTD_SOCKET=str(path))
    assert (4, "burst: no such job\n") == (done.returncode, done.stderr)


# --- burstd's exit codes


def test_check_config_lists_every_problem_on_its_own_line_and_is_78(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[site]\npoll = "30"\nclustr = "x"\n[targets.c]\nprice = "cheap"\n')
    done = run("burstd", "check-config", "-c", str(bad))
    lines = done.stderr.splitlines()
    assert (78, "") == (done.returncode, done.stdout)
    for line, key in ((2, "site.poll"), (3, "site.clustr"), (5, "targets.c.price")):
        assert 1 == sum(text.startswith(f"{bad}:{line}: {key}: ") for text in lines), done.stderr
    assert f"burstd: {len(lines) - 1} problems; nothing was started" == lines[-1]
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_not_there_is_78(tmp_path: Path) -> None:
    for command in ("run", "check-config"):
        done = run("burstd", command, "-c", str(tmp_path / "none.toml"))
        assert 78 == done.returncode
        assert "none.toml" in done.stderr
        assert "Traceback" not in done.stderr


def test_burst_netd_refuses_a_bad_file_with_78(tmp_path: Path) -> None:
    bad = tmp_path / "netd.toml"
    bad.write_text("[links.cloud]\ninterface = 3\n")
    done = run("burst-netd", str(bad))
    assert 78 == done.returncode
    assert f"{bad}: links.cloud.interface: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_agent_is_not_started_by_hand() -> None:
    done = run("burst-agent", "job.sh")
    assert 1 == done.returncode
    assert "started by Slurm" in done.stderr
