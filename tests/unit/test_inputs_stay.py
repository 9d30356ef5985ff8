"""Inputs that may not go where their job would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from burstd.agent.inputs import NotStageable, allowed, find
from burstd.agent.walk import Look
from tests.unit.studies import Put, stand_in

# --- where the job works


@pytest.mark.parametrize(
    ("works", "globs", "goes"),
    [
        ("open/run", ["open/*"], True),
        ("open/link", ["open/*"], False),  # leads to secret/wing
        ("open/link", ["open/*", "secret/w*"], True),
        ("near/run", ["near/*"], True),  # near is a link itself, as /home may be
        ("near/link", ["near/*"], False),
        ("near/run", ["open/*"], True),
        ("open/run", [], False),
        ("open/run", ["open/run"], True),
        ("open/run", ["*/open/r*"], True),
        ("open/link", ["*/open/l*"], False),
    ],
)
def test_a_job_behind_a_link_is_of_the_class_of_where_it_is(
    tmp_path: Path, works: str, globs: list[str], goes: bool
) -> None:
    for name in ("open/run", "secret/wing"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "open/link").symlink_to(tmp_path / "secret/wing")
    (tmp_path / "near").symlink_to("open")
    (tmp_path / works / "beam.inp").write_text("*NODE\n")
    job = stand_in(tmp_path / works, "ccx beam\n")
    within = [glob if glob.startswith("*") else f"{tmp_path}/{glob}" for glob in globs]
    if goes:
        assert find(Look(), job, "calculix", (), "cloud", within)
    else:
        with pytest.raises(NotStageable, match="no label says"):
            find(Look(), job, "calculix", (), "cloud", within)
    assert find(Look(), job, "calculix", (), "cloud", None)


# --- what may leave


STAYS = [("secret", ["/vault/*", "{top}/vault*"]), ("near", ["{top}/near/mesh.inc"])]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("work/beam.inp", None),
        ("vault/mesh.inc", "secret"),
        ("vault-2/a/b/mesh.inc", "secret"),
        ("work/link.inc", "secret"),
        ("work/way/mesh.inc", "secret"),
        ("near/mesh.inc", "near"),
        ("near/mesh.inc.bak", None),
    ],
)
def test_an_input_that_lies_where_data_stay_is_named(
    put: Put, tmp_path: Path, path: str, name: str | None
) -> None:
    for there in ("work/beam.inp", "vault/mesh.inc", "vault-2/a/b/mesh.inc", "near/mesh.inc"):
        put(there)
    put("near/mesh.inc.bak")
    (tmp_path / "work" / "link.inc").symlink_to("../vault/mesh.inc")
    (tmp_path / "work" / "way").symlink_to(tmp_path / "vault")
    stays = [(n, [glob.format(top=tmp_path) for glob in globs]) for n, globs in STAYS]
    files = [str(tmp_path / "work/beam.inp"), str(tmp_path / path)]
    allowed(files, [], "cloud")
    if name is None:
        allowed(files, stays, "cloud")
        return
    with pytest.raises(NotStageable, match=f"{path} is of class {name}, .* may not go to cloud"):
        allowed(files, stays, "cloud")


@pytest.mark.parametrize("script", ["ccx secret/beam", "ccx open", "secret/solve"])
def test_nothing_of_a_file_that_stays_is_read(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Not even for what it includes, or to see whether it is a script."""
    put("secret/beam.inp", "*NODE\n"), put("open.inp", "*INCLUDE,INPUT=secret/beam.inp\n")
    put("secret/solve", "#!/bin/sh\n")
    job, opened, real = stand_in(tmp_path, f"#!/bin/bash\n{script}\n"), list[str](), Path.open

    def watched(path: Path, *how: Any, **more: Any) -> Any:
        opened.append(path.name)
        return real(path, *how, **more)

    monkeypatch.setattr(Path, "open", watched)
    with pytest.raises(NotStageable, match="of class secret"):
        find(Look(), job, "calculix", [("secret", [f"{tmp_path}/secret"])], "far")
    assert not {"beam.inp", "solve"} & set(opened)
