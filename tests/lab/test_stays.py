"""Jobs that must not be touched are declined with a reason, and stay as they are."""

from __future__ import annotations

import json

import pytest

from tests.lab.conftest import Site

pytestmark = pytest.mark.lab


def test_a_job_that_must_stay_is_declined_with_its_reason_and_never_modified(site: Site) -> None:
    site.fill()
    run = "ccx -i beam"
    first = site.submit("first", run)
    cases = {
        site.submit("held", run, options=("--hold",)): "it is held",
        site.submit("later", run, options=("--begin=now+1hour",)): "not waiting for resources",
        site.submit("after", run, options=(f"-dafterok:{first}",)): "waits for another job",
        site.submit("short", run, options=("-p", "short")): "partition is not one that bursts",
        site.submit("never", run, options=("--comment=burst:never",)): "its user forbids it",
        site.submit("line", f"#BURST mode=never\n{run}"): "its user forbids it",
        site.submit("plain", "sleep 10"): "no application profile matches",
        site.submit("long", run, options=("-t", "UNLIMITED")): "no time limit",
        site.submit("pieces", run, options=("-n1", ":", "-n1")): "heterogeneous",
    }
    shell = site.px.spawn(
        "salloc",
        ["salloc", "-J", "shell", "-n1", "-t60", "true"],
        "alice",
        site.lab.paths.base / "s.log",
    )
    site.until(lambda: "shell" in site.ctl.sh("squeue -h -o %j"), "salloc waits")
    interactive = site.ctl.sh("squeue -h -n shell -o %i").strip()
    cases[interactive] = "interactive or has no batch script"
    site.until(
        lambda: "(None)" not in site.ctl.sh("squeue -h -t PD -o '(%r)'"), "all have a reason"
    )
    before = {job: site.show(job) for job in cases}
    # A mark so high that no surge begins: the one job that may leave stays too, and says so.
    site.start(high="50", low="1")

    site.until(lambda: "high-water mark" in site.why(first), "the first plan")

    for job, reason in cases.items():
        key = job if "+" not in job else job.split("+")[0]
        assert reason in site.why(key), (job, site.why(key))
    assert before == {job: site.show(job) for job in cases}
    shell.stop()


def test_observing_decides_and_touches_nothing(site: Site) -> None:
    site.fill()
    home = site.study("observed")
    job = site.submit("beam", "ccx -i beam", directory=home)
    site.until(
        lambda: "Reason=Resources" in site.show(job) or "Reason=Priority" in site.show(job), "x"
    )
    before = site.show(job)
    site.start(mode="observe", high="0.5", low="0.1")

    site.until(lambda: "leaves" in site.why(job), "the decision is recorded")
    status = json.loads(site.px.run(["burst", "status", "--json"], user="alice").stdout)

    assert {"mode": "observe", "bursts": {}} == {k: status[k] for k in ("mode", "bursts")}
    assert before == site.show(job)


def test_a_deck_with_a_missing_include_stays_and_the_file_is_named(site: Site) -> None:
    site.fill()
    home = site.study("holes", missing=True)
    job = site.submit("holes", "ccx -i beam", directory=home)
    before = site.show(job)
    site.start(high="0.5", low="0.1")

    site.until(lambda: "returned" in site.why(job), "the job comes back")

    assert "/home/alice/mesh/none.inp" in site.why(job)
    assert "line 3 of" in site.why(job)
    after = site.show(job)
    for name in ("Partition", "TimeLimit", "NumNodes", "NumCPUs", "NumTasks", "Requeue"):
        assert field(before, name) == field(after, name)
    site.ctl.run(["scancel", site.ids[0]], user="alice")
    site.until(
        lambda: site.state(job) not in {"PENDING", "RUNNING", "COMPLETING"}, "it runs on-prem"
    )
    assert "n1" in nodes(site, job) or "n2" in nodes(site, job)


def test_a_user_sees_own_jobs_only(site: Site) -> None:
    site.fill()
    home = site.study("mine")
    job = site.submit("beam", "ccx -i beam", directory=home)
    site.start(high="50", low="1")
    site.until(lambda: "stays" in site.why(job), "the verdict")

    asked = site.px.run(["burst", "why", job], user="bob", check=False)
    listed = json.loads(site.px.run(["burst", "jobs", "--json"], user="bob").stdout)

    assert 4 == asked.returncode
    assert [] == listed["jobs"]
    assert "stays" in site.why(job, user="root")


def field(record: str, name: str) -> str:
    """One ``Name=value`` of ``scontrol show job``."""
    return next(word for word in record.split() if word.startswith(f"{name}="))


def nodes(site: Site, job: str) -> str:
    return site.ctl.run(["sacct", "-n", "-X", "-P", "-j", job, "-o", "NodeList"]).stdout


def test_a_user_who_changed_a_file_meanwhile_finds_both(site: Site) -> None:
    home = site.study("changed", increments=12)
    site.write(f"{home}/notes.txt", "before\n")
    site.fill()
    site.start(high="0.5", low="0.1")
    body = "cat notes.txt\nccx -i beam\necho from the job >> notes.txt\nsleep 3"
    job = site.submit("changed", body, directory=home)
    site.until(lambda: site.stage(job) == "running", "it runs away")
    site.write(f"{home}/notes.txt", "changed by alice\n")

    site.until(lambda: site.state(job) == "COMPLETED", "the job ends")

    names = site.ctl.sh(f"ls -A {home}", user="alice").split()
    copy = next(name for name in names if name.startswith("notes.txt.burst-"))
    assert "changed by alice\n" == site.ctl.sh(f"cat {home}/notes.txt", user="alice")
    assert "before\nfrom the job\n" == site.ctl.sh(f"cat {home}/{copy}", user="alice")
    assert copy in site.ctl.sh(f"cat {home}/changed.out", user="alice")


def test_an_input_that_lies_where_data_stay_keeps_its_job_here(site: Site) -> None:
    """The job works elsewhere; only its deck knows of that file."""
    site.fill()
    job = site.submit("beam", "ccx -i beam", directory=site.study("beam"))
    secret = '\n[policy.classes.secret]\ntargets = []\n[[policy.labels]]\nclass = "secret"\n'
    tables = secret + 'paths = ["/home/alice/mesh*"]\n'
    site.start(high="0.5", low="0.1", tables=tables)
    site.until(lambda: "returned" in site.why(job), "it is back")

    assert "mesh.inp is of class secret, whose data may not go to cloud" in site.why(job)
    assert "Partition=cae" in site.show(job)
    assert "" == site.lab.host("login").sh("find /scratch/burst/runs -name 'mesh*'")


def test_pressure_is_reckoned_by_what_such_jobs_used(site: Site) -> None:
    run = "ccx -v; sleep 3"
    past = site.submit("case_1", run)
    site.until(lambda: site.state(past) == "COMPLETED", "a run of the past")
    site.fill()
    job = site.submit("case_2", run)
    site.start(high="50", low="0.1", history="30d")

    site.until(lambda: "by 1 runs like it of alice's" in site.why(job), "accounting was asked")
    assert "expected 30 min" in site.why(job)  # three seconds of an hour, and one that used all


def test_a_policy_changes_under_way_and_a_bad_one_changes_nothing(site: Site) -> None:
    site.fill()
    job = site.submit("beam", "ccx -i beam")
    site.start(high="50", low="1")
    site.until(lambda: "high-water mark" in site.why(job), "the first plan")
    assert "nothing says of which class" not in site.why(job)

    change = "sed -i 's/^unlabelled = .*/unlabelled = \"{}\"/' /etc/burstd/config.toml"
    site.px.sh(change.format("stays"))
    site.until(lambda: "nothing says of which class" in site.why(job), "the new policy holds")
    assert "[policy.unlabelled, /etc/burstd/config.toml:" in site.why(job)

    site.px.sh(change.format("nowhere"))
    trouble = "there is no [policy.classes.nowhere]"
    site.until(lambda: trouble in site.px.sh("burst status"), "it is refused")
    assert "nothing says of which class" in site.why(job)
