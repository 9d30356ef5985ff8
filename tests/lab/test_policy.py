"""What the policy weighs, on a real Slurm's own words: its estimates, its licences, its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.conftest import Site

pytestmark = pytest.mark.lab

RUN = "ccx -i beam"


def step(site: Site, job: str, rule: str) -> dict[str, Any]:
    """One rule's word in ``burst why``; empty where it has none."""
    done = site.px.run(["burst", "why", job, "--json"], user="alice", check=False)
    steps = json.loads(done.stdout)["steps"] if done.stdout else []
    return next((one for one in steps if one["rule"] == rule), {})


def test_who_will_be_over_sooner_here_by_slurms_own_estimate_stays(site: Site) -> None:
    site.fill()  # for twenty minutes at most
    job = site.submit("beam", RUN, directory=site.study("beam"))
    site.until(lambda: site.ctl.sh(f"squeue -h -j {job} -o %S").strip() != "N/A", "an estimate")
    site.start(high="0.5", low="0.1", policy='veto = true\nstart_delay = "1h"')
    site.until(lambda: "sooner here" in site.why(job), "the veto")
    here = step(site, job, "here")
    assert "slurm estimate" in here["numbers"]["by"]
    assert "2 h 00 min" == here["numbers"]["there"]
    assert site.stage(job) == ""

    site.px.sh("sed -i 's/^start_delay = .*/start_delay = \"1m\"/' /etc/burstd/config.toml")
    site.until(lambda: site.state(job) == "COMPLETED", "with another delay it leaves")
    assert site.stage(job)


def test_an_array_runs_no_more_tasks_at_once_than_its_user_lets_it(site: Site) -> None:
    site.fill()
    home = site.study("beam", increments=40)
    array = site.submit("sweep", RUN, directory=home, options=("--array=1-4%2",))
    site.start(high="0.5", low="0.1")
    site.until(lambda: "running" in {site.stage(f"{array}_{n}") for n in (1, 2)}, "one is away")
    why = f"{array}_4"
    site.until(lambda: "no more of its tasks" in site.why(why), "the others wait for their turn")
    assert "at_once 2, running 2" in site.why(why)
    assert "" == site.stage(f"{array}_3") == site.stage(f"{array}_4")
    site.until(lambda: site.stage(f"{array}_4") == "running", "and get it")


def test_slurms_licences_are_one_pool_over_both_sites(site: Site) -> None:
    site.fill()
    home = site.study("beam", increments=40)
    first, second = (
        site.submit("beam", RUN, directory=home, options=("-L", "ansys:60")) for _ in "12"
    )
    site.start(high="0.5", low="0.1", tables='\n[licences.ansys]\nsource = "slurm"\n')
    site.until(lambda: site.stage(first) == "running", "the first is away")
    site.until(lambda: not step(site, second, "licences").get("holds", True), "the other waits")
    numbers = step(site, second, "licences")["numbers"]
    assert ("60", "40", "100") == (numbers["asked"], numbers["free"], numbers["total"])
    assert "Licenses=ansys:60" in site.show(second)

    site.until(lambda: site.state(first) == "COMPLETED", "the first is over")
    site.until(lambda: site.stage(second) not in {"", "planned"}, "its licences serve the second")


def test_a_user_is_told_before_submitting_what_would_become_of_a_job(site: Site) -> None:
    site.fill()
    home = site.study("asked")
    site.write(f"{home}/run.sh", f"#!/bin/bash\n#SBATCH -t 60 -n 2\n{RUN}\n")
    site.start(high="0.5", low="0.1", policy='start_delay = "2m"\nveto = false')
    argv = ["burst", "estimate", "--json", f"{home}/run.sh"]
    jobs = site.ctl.sh("squeue -h -o %i")
    done = site.px.run(argv, user="alice", cwd=home, check=False)
    found = json.loads(done.stdout)

    assert (0, 1, "calculix") == (done.returncode, found["leaves"], found["application"])
    assert "slurm" == found["here"]["by"]
    assert 0 < found["here"]["starts_in_s"][0] <= 21 * 60
    (offer,) = found["offers"]
    assert (3600 + 120, "0.1000") == (offer["over_in_s"], offer["expected"])
    names = [path for path, _ in found["files"]["files"]]
    assert ["/home/alice/asked/beam.inp", "/home/alice/mesh/mesh.inp"] == names
    assert jobs == site.ctl.sh("squeue -h -o %i")

    never = site.px.run([*argv[:3], "--comment=burst:never", *argv[3:]], user="alice",
                        cwd=home, check=False)  # fmt: skip
    assert 3 == never.returncode
    refused = site.px.run([*argv[:2], "--partition=nowhere", f"{home}/run.sh"], user="alice",
                          cwd=home, check=False)  # fmt: skip
    assert 1 == refused.returncode
    assert "Slurm would not take it" in refused.stderr


def test_only_so_many_cores_are_taken_at_a_target_and_users_keep_their_jobs(site: Site) -> None:
    site.fill()
    home = site.study("beam", increments=40)
    jobs = [site.submit("beam", RUN, directory=home, options=("-n", "2")) for _ in "123"]
    dear = site.submit("dear", f"#BURST max-cost=0.01\n{RUN}", directory=home)
    odd = site.submit("odd", f"#BURST mode=perhaps\n{RUN}", directory=home)
    site.start(high="0.5", low="0.1", cores="4")
    site.until(lambda: "4 of 4 cores there are taken" in site.why(jobs[2]), "the target is full")
    site.until(lambda: "may cost more" in site.why(dear), "one is too dear")
    site.until(lambda: "can't be read (unread mode=perhaps)" in site.why(odd), "one is unread")
    site.until(lambda: site.stage(jobs[2]) != "", "room is made")
    assert "" == site.stage(dear) == site.stage(odd)


def test_what_is_approved_leaves_and_what_was_decided_can_be_told_and_decided_again(
    site: Site,
) -> None:
    site.fill()
    home = site.study("beam")
    job, other = (site.submit(name, RUN, directory=home) for name in ("beam", "other"))
    today = site.px.sh("date -u +%F").strip()
    caps = '\n[policy.budgets.tight]\namount = "0.06 EUR/day"\nusers = ["alice"]\n'
    window = '\n[[policy.windows]]\nstart = "0 0 29 2 *"\nlength = "1h"\n'
    closed = f'veto = false\nblackouts = ["{today}..{today}"]'
    site.start(mode="approve", high="0.5", low="0.1", policy=closed, tables=caps + window)
    site.until(
        lambda: f"blackout until the end of {today}" in site.why(job), "the day is kept free"
    )
    site.px.sh("sed -i '/^blackouts/d' /etc/burstd/config.toml")
    site.until(lambda: "closed until 20" in site.why(job), "no window is open")
    site.px.sh("sed -i 's/^start = .*/start = \"* * * * *\"/' /etc/burstd/config.toml")
    site.until(lambda: job in site.px.sh("burst approve --list"), "it is proposed")
    site.until(lambda: "a budget does not cover" in site.why(other), "one budget for both")
    assert ("", "planned") == (site.stage(other), site.stage(job))
    assert "Partition=cae" in site.show(job)
    site.px.sh(f"burst approve {job} --why 'a test'")
    site.until(lambda: site.state(job) == "COMPLETED", "it leaves")
    site.until(lambda: site.stage(job) == "settled", "it is paid")

    (row,) = json.loads(site.px.sh("burst cost --by user --json"))["rows"]
    assert ("alice", 1) == (row["user"], row["bursts"])
    told = site.px.run(["burst", "decisions", "--job", job, "--json"], user="alice").stdout
    assert True in [line.get("leaves") for line in map(json.loads, told.splitlines())]
    again = site.px.run(
        ["burst", "simulate", "--recorded", "/var/lib/burstd/decisions"], user="burstd"
    )
    same, _, count, *_ = again.stdout.split()
    assert 0 < int(same) == int(count)
    past = site.px.run(
        ["burst", "simulate", "--config", "/etc/burstd/config.toml", "--days", "1", "--json", "-"],
        user="burstd",
    )
    found = json.loads(past.stdout)
    rows = [row["name"] for row in found["strategies"]]
    assert ["none", "everything", "clairvoyant", "policy"] == rows
    assert 2 == found["trace"]["procs"], "n1 and n2: neither the proxy's nor nodes that are down"
    numbers = "burst simulate --days 1 --partition cae --anonymise /dev/stdout"
    assert "; MaxProcs: 2" in site.px.sh(numbers)


def test_jobs_with_gpus_leave_for_gpus_by_a_pressure_of_their_own(site: Site) -> None:
    """The whole queue is quiet. A GPU is a null device here, by the name that drivers give it."""
    site.fill()
    home, asks = site.study("beam"), "ls /dev/nvidia*; echo sees $CUDA_VISIBLE_DEVICES"
    plain = site.submit("plain", RUN, directory=home)
    options = ("-n1", "--gpus-per-task=a100:1")
    job = site.submit("beam", f"{asks}; {RUN}", directory=home, options=options)
    two = site.submit("two", RUN, directory=home, options=("-N2", "--gpus-per-node=1"))
    large = site.submit("large", RUN, directory=home, options=("--mem=1900M", "--gres=gpu:1"))
    tables = '\n[policy.pressures.gpus]\nhigh = "0.5 GPU-hours"\nlow = "0.1 GPU-hours"\n'
    site.start(
        high="1000", low="500", tables=tables, terms='gpu_price = "2 EUR/GPU-hour"\ngpus = 1',
        target='max_gpus = 1\ngpu_types = ["a100"]\nnode_memory = "1500 MiB"',
    )  # fmt: skip
    site.until(lambda: site.stage(job), "it leaves")
    # An hour and the far runner's margin, at 0.05 for the core and 2 for the GPU.
    shown = site.px.run(["burst", "show", job, "--json"], user="alice").stdout
    assert 2.05 * 72 / 60 == pytest.approx(float(json.loads(shown)["burst"]["reserved"]))
    site.until(lambda: site.state(job) == "COMPLETED", "it ran there")
    out = site.ctl.run(["cat", f"{home}/beam.out"], user="alice").stdout.split()
    assert ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "sees"] == out[:4]
    assert out[4] in {"0", "1"}

    kind, memory = step(site, two, "kind"), step(site, large, "target cloud")
    assert {"gpus": "2", "max_gpus": "1"} == kind["numbers"]
    assert (False, "it asks for too much memory on a node") == (memory["holds"], memory["text"])
    assert "the queue is below" in site.why(plain)
    assert ["", "", ""] == [site.stage(other) for other in (plain, two, large)]


def test_a_cap_that_is_lowered_sends_home_who_has_not_begun(site: Site) -> None:
    site.fill()
    site.start(high="0.5", low="0.1")
    site.lab.wan.set(cut=True)
    job = site.submit("beam", RUN, directory=site.study("beam"))
    site.until(lambda: site.stage(job) in {"claimed", "staging_in"}, "it is on its way")
    lower = 's/^budget = .*/budget = "0.01 EUR\\/month"/'
    site.px.run(["sed", "-i", lower, "/etc/burstd/config.toml"])
    argv = ["squeue", "-h", "-j", job, "-o", "%T %P"]
    site.until(lambda: site.ctl.run(argv).stdout.strip() == "PENDING cae", "it waits at home")
    site.lab.wan.set()
    site.until(lambda: site.stage(job) == "returned", "what lies over there is cleaned up")
    shown = json.loads(site.px.run(["burst", "show", job, "--json"], user="alice").stdout)
    assert "policy.budget (0.01 EUR/month) no longer covers it" in shown["burst"]["cause"]


def test_who_is_worth_less_than_the_price_at_which_the_budget_lasts_stays(site: Site) -> None:
    """Most of a day each, one after the other: who leaves from the head spares all behind it the
    wait, and the last spares nobody anything."""
    site.fill()
    home, options = site.study("beam"), ("-n2", "-t", "1380")
    jobs = [site.submit("beam", RUN, directory=home, options=options) for _ in range(6)]
    site.start(high="0.5", low="0.1", policy='veto = false\nsteer = true\nstrategy = "marginal"')
    site.until(lambda: site.stage(jobs[0]), "the first leaves")
    site.until(lambda: "spare less waiting" in site.why(jobs[-1]), "the last is told why it stays")

    worth = step(site, jobs[-1], "worth")["numbers"]
    assert float(worth["worth"].split()[0]) <= float(worth["price"].split()[0])
    assert "" == site.stage(jobs[-1])


#: Three solver runs, of which none is begun again that is done; the first waits until it is told.
STUDY = """\
#BURST checkpoint=USR1
trap 'told=1' USR1
for part in 1 2 3; do
  [ -e done.$part ] && continue
  ccx -i beam > log.$part || exit
  while [ ! -e done.1 ] && [ -z "$told" ]; do sleep 0.2; done
  hostname > done.$part
  echo "part $part is done"
  [ -n "$told" ] && exit 99
done
echo all done"""


def test_a_cap_that_is_lowered_stops_what_can_go_on_at_home(site: Site) -> None:
    site.fill()
    home, append = site.study("beam"), ("--open-mode=append",)
    job = site.submit("study", STUDY, directory=home, options=append)
    site.start(high="0.5", low="0.1", policy='veto = false\nhard = "checkpoint-and-return"')
    site.until(lambda: site.stage(job) == "running", "it runs there")
    refused = site.px.run(["burst", "return", job], user="alice", check=False)
    assert "burst return --checkpoint" in refused.stderr
    lower = 's/^budget = .*/budget = "0.01 EUR\\/month"/'
    site.px.run(["sed", "-i", lower, "/etc/burstd/config.toml"])
    site.until(lambda: site.stage(job) == "settled", "it is stopped there, and settled")
    waits = site.ctl.run(["squeue", "-h", "-j", job, "-o", "%T %P"]).stdout.strip()
    assert "PENDING cae" == waits
    shown = json.loads(site.px.run(["burst", "show", job, "--json"], user="alice").stdout)
    assert 99 == shown["burst"]["outcome"]["exit_code"]
    assert float(shown["burst"]["cost"]) < float(shown["burst"]["reserved"])

    site.ctl.run(["scancel", "-n", "fill"])
    site.until(lambda: site.state(job) == "COMPLETED", "it goes on at home")
    parts = ["cat", "done.1", "done.2", "done.3"]
    hosts = site.ctl.run(parts, user="alice", cwd=home).stdout.split()
    assert 3 == len(hosts) and hosts[0] in {"c1", "c2"} and {"n1", "n2"} >= set(hosts[1:])
    out = site.ctl.run(["cat", f"{home}/study.out"], user="alice").stdout.splitlines()
    own = [line for line in out if "JOB REQUEUE" not in line]  # slurmstepd's word at a requeue
    assert ["part 1 is done", "part 2 is done", "part 3 is done", "all done"] == own
