"""The program as one file, and the documents that both ends share."""

from __future__ import annotations

import ast
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burstd.far import paths
from burstd.far.order import InputFile, Order, OrderError
from burstd.far.pack import build
from tests.far.kit import PYTHON, order

SOURCES = sorted(Path("burstd/far").glob("*.py"))


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    first = build(tmp_path / "a.pyz")
    for source in SOURCES:
        os.utime(source)
    assert build(tmp_path / "b.pyz") == first
    assert (tmp_path / "a.pyz").read_bytes() == (tmp_path / "b.pyz").read_bytes()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_source_is_python_3_9_and_stdlib_only(source: Path) -> None:
    tree = ast.parse(source.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or name.startswith("burstd.far"), name


def test_it_runs_from_the_zip_alone(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [PYTHON, "-I", str(program), "version"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("burst-far protocol 10 ")
    assert (
        subprocess.run([PYTHON, str(program), "fly"], capture_output=True, check=False).returncode
        == 64
    )


def test_an_order_comes_back_as_it_went() -> None:
    went = order(
        env={"A": "b\n\udcff"},
        argv=("a b", "\udcfe"),
        inputs=(InputFile("/home/alice/study/\udcff", 3, "0" * 64, -5, 0o644),),
        live=("*.sta",),
    )
    assert Order.parse(went.to_json()) == went


@pytest.mark.parametrize(
    "change",
    [
        {"binds": ("/",)},
        {"binds": ("/usr",)},
        {"binds": ("/lib64",)},
        {"binds": ("/home/alice",)},
        {"binds": ("home",)},
        {"binds": ("/root",)},
        {"binds": ("/..",)},
        {"binds": ("/home:/etc",)},
        {"cwd": "/scratch"},
        {"cwd": "home"},
        {"output_roots": ("/etc",)},
        {"live": ("../*",)},
        {"live": ("/etc/*",)},
        {"key": "../x"},
        {"attempt": 0},
        {"time_limit_s": 0},
        {"env": {"A=B": "c"}},
        {"env": {"A": "\0"}},
        {"exports": {"PATH": "/x"}},
        {"secret": "abc"},
        {"argv": ("\0",)},
    ],
)
def test_orders_that_must_not_be_carried_out(change: dict[str, object]) -> None:
    with pytest.raises(OrderError):
        order(**change)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema":2}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_documents_that_are_no_orders(document: bytes) -> None:
    with pytest.raises(OrderError):
        Order.parse(document)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(OrderError, match="unknown colour"):
        Order.parse(order().to_json()[:-1] + b',"colour":1}')


@given(
    st.lists(
        st.binary(min_size=1, max_size=255).filter(
            lambda name: not set(name) & {0, 47} and name not in (b".", b"..")
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_path_of_a_disk_survives_the_journey(parts: list[bytes]) -> None:
    assert paths.split(paths.join(parts)) == tuple(parts)


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        order().attempt = 2  # type: ignore[misc]
