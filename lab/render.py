"""The files that make a Debian root a host of the lab, as text. Pure: facts in, text out."""

from __future__ import annotations

from lab import facts
from lab.facts import HostSpec, Site, User

SHELL = "/bin/bash"

_SLURM = """\
ClusterName={site.name}
SlurmctldHost={site.controller}
SlurmUser=slurm
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
MaxJobCount=20000
MaxArraySize=10001
MpiDefault=none
ReturnToService=2
KillWait={kill_wait}
MinJobAge=300
SlurmdTimeout=30
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,bf_interval=5,bf_resolution=60
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={site.controller}
AccountingStorageEnforce=associations,limits,qos
AccountingStoreFlags=job_comment,job_env,job_extra,job_script
"""

# The proxy node declares what it does not have: a job of any shape fits, and nothing of its record
# must change. The rack exists on paper, for shapes that need more than a lab: jobs wait there, and
# nothing answers at its address.
_PAPER = """\
GresTypes=gpu
Licenses=ansys:100,abaqus:50
AllowSpecResourcesUsage=YES
NodeName=px {px}Sockets=64 CoresPerSocket=64 ThreadsPerCore=2 RealMemory=1000000000 \\
  TmpDisk=1000000000 Gres=gpu:a100:64 Feature=skylake,avx512,icelake State=UNKNOWN
NodeName=r[1-6] NodeAddr={controller} Port=17099 Sockets=2 CoresPerSocket=32 ThreadsPerCore=2 \\
  RealMemory=256000 TmpDisk=1000000 Gres=gpu:a100:4 Feature=skylake,avx512 State=DOWN
NodeName=r[7-8] NodeAddr={controller} Port=17099 Sockets=2 CoresPerSocket=32 ThreadsPerCore=2 \\
  RealMemory=256000 TmpDisk=1000000 Gres=gpu:a100:4 Feature=icelake,hbm State=DOWN
PartitionName=rack Nodes=r[1-8] MaxTime=INFINITE State=UP
PartitionName=burst Nodes=px MaxTime=INFINITE PreemptMode=OFF OverSubscribe=NO State=UP
"""
_NODES = {
    "onprem": """\
NodeName=n[1-2] CPUs=1 RealMemory=2000 Gres=gpu:a100:1 State=UNKNOWN
PartitionName=cae Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n[1-2] MaxTime=1:00:00 State=UP
"""
    + _PAPER.format(controller="ctl", px=""),
    "cloud": """\
GresTypes=gpu
NodeName=c[1-2] CPUs=4 RealMemory=4000 Gres=gpu:a100:2 State=UNKNOWN
PartitionName=hpc Nodes=c[1-2] Default=YES MaxTime=INFINITE State=UP
""",
    "legacy": """\
NodeName=n1 NodeHostname=old NodeAddr=old Port=17001 CPUs=1 RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=old NodeAddr=old Port=17002 CPUs=1 RealMemory=2000 State=UNKNOWN
PartitionName=cae Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n[1-2] MaxTime=1:00:00 State=UP
"""
    + _PAPER.format(controller="old", px="NodeHostname=old NodeAddr=old Port=17010 "),
}
#: What 22.05 does not know yet, and what three slurmds on one host need.
_LEGACY_WORDS = (
    ("job_comment,job_env,job_extra,job_script", "job_comment,job_env,job_script"),
    ("/var/spool/slurmd\n", "/var/spool/slurmd-%n\n"),
    ("/slurmd.pid", "/slurmd-%n.pid"),
    ("/slurmd.log", "/slurmd-%n.log"),
)


def slurm_conf(site: Site) -> str:
    """slurm.conf, the same on all hosts of a site."""
    kill_wait = 30 if site.name == "onprem" else 10
    text = _SLURM.format(site=site, kill_wait=kill_wait)
    for word, legacy in _LEGACY_WORDS if site is facts.LEGACY else ():
        text = text.replace(word, legacy)
    return text + _NODES[site.name]


def cgroup_conf(site: Site) -> str:
    """cgroup.conf: none is used; 22.05 has no word for that."""
    return f"CgroupPlugin={'cgroup/v1' if site is facts.LEGACY else 'disabled'}\n"


_PAPER_GPUS = """\
NodeName=px Name=gpu Type=a100 File=/dev/gpu[0-63]
NodeName=r[1-8] Name=gpu Type=a100 Count=4
"""
_GPUS = {
    "onprem": "NodeName=n[1-2] Name=gpu Type=a100 File=/dev/nvidia0\n" + _PAPER_GPUS,
    "cloud": "NodeName=c[1-2] Name=gpu Type=a100 File=/dev/nvidia[0-1]\n",
    "legacy": _PAPER_GPUS,
}


def gres_conf(site: Site) -> str:
    """gres.conf."""
    return _GPUS[site.name]


def slurmdbd_conf(site: Site) -> str:
    """slurmdbd.conf.

    The database is reached by its Unix socket, as the user slurm, without a password.
    """
    return (
        f"AuthType=auth/munge\nDbdHost={site.controller}\nSlurmUser=slurm\n"
        "LogFile=/var/log/slurm/slurmdbd.log\nPidFile=/run/slurm/slurmdbd.pid\n"
        "StorageType=accounting_storage/mysql\nStorageHost=localhost\n"
        "StorageUser=slurm\nStorageLoc=slurm_acct_db\n"
    )


def accounts(site: Site) -> str:
    """The site's accounts, as `sacctmgr load` reads them."""
    lines = [
        f"Cluster - '{site.name}'",
        "Parent - 'root'",
        "User - 'root':DefaultAccount='root':AdminLevel='Administrator':Fairshare=1",
        "Account - 'phys':Description='physics':Organization='lab':Fairshare=1",
        "Parent - 'phys'",
        *(f"User - '{name}':DefaultAccount='phys':Fairshare=1" for name in site.members),
        f"User - '{site.operator}':DefaultAccount='phys':AdminLevel='Operator':Fairshare=1",
    ]
    return "\n".join(lines) + "\n"


DATABASE_CONF = """\
[mariadbd]
user=mysql
datadir=/var/lib/mysql
socket=/run/mysqld/mysqld.sock
pid-file=/run/mysqld/mysqld.pid
log-error=/var/log/mariadb.log
init-file=/etc/mysql/lab.sql
skip-networking
skip-name-resolve
performance-schema=off
innodb-buffer-pool-size=32M
innodb-log-file-size=4M
innodb-lock-wait-timeout=900
# A lab that loses power is built again: it need not wait for the disk.
innodb-flush-log-at-trx-commit=0
innodb-flush-method=nosync
"""

# One statement a line: that is how init-file reads it.
DATABASE_INIT = """\
CREATE DATABASE IF NOT EXISTS slurm_acct_db;
CREATE USER IF NOT EXISTS slurm@localhost IDENTIFIED VIA unix_socket;
GRANT ALL ON slurm_acct_db.* TO slurm@localhost;
"""

SSHD_CONF = f"""\
ListenAddress {facts.GATE_ADDRESS}:22
HostKey /etc/ssh/ssh_host_ed25519_key
TrustedUserCAKeys /etc/ssh/burstd_ca.pub
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
UsePAM no
UseDNS no
PrintMotd no
MaxSessions 1000
MaxStartups 1000
PerSourcePenaltyExemptList 10.200.0.0/24
PidFile /run/sshd.pid
Subsystem sftp internal-sftp
"""

CCX = """\
#!/bin/sh
dir=/opt/calculix
exec $dir/lib/ld-linux-x86-64.so.2 --library-path $dir/lib $dir/bin/ccx "$@"
"""

# wireguard-go ends when the mode or owner of its control socket changes (it watches the file), and
# makes the socket for its own user only. So it runs as the service user, who then needs no root to
# add and remove peers.
WIREGUARD = f"""\
#!/bin/sh
# The cloud's end of the link. Started by the lab; -f, or wireguard-go forks away from its log.
set -eu
rm -f /run/wireguard/wg0.sock
install -d -o burst -g burst -m 755 /run/wireguard
caps=-all,+net_admin
setsid -f setpriv --reuid=burst --regid=burst --init-groups \\
  --bounding-set=$caps --inh-caps=$caps --ambient-caps=$caps --no-new-privs \\
  wireguard-go -f wg0 >>/var/log/wireguard.log 2>&1 </dev/null
until [ -S /run/wireguard/wg0.sock ]; do sleep 0.02; done
wg set wg0 listen-port {facts.GATE_PORT} private-key /etc/wireguard/gate.key \\
  peer "$(cat /etc/wireguard/enrol.pub)" \\
  preshared-key /etc/wireguard/enrol.psk allowed-ips {facts.ENROL_ADDRESS}
ip address replace {facts.GATE_ADDRESS}/24 dev wg0
ip link set wg0 mtu 1420 up
"""


# Trusting its own network is enough: nobody but the lab's hosts is there.
POSTGRES = """\
#!/bin/sh
# A database for burstd, on demand. Started by the lab.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/lab
install -d -o postgres -g postgres -m 755 /run/postgresql /var/log/postgresql
if [ ! -e $data/PG_VERSION ]; then
  install -d -o postgres -g postgres -m 700 $data
  setpriv --reuid=postgres --regid=postgres --clear-groups \\
    $bin/initdb -D $data -U burstd -A trust -E UTF8 --no-locale >/dev/null
  echo "host all all samenet trust" >> $data/pg_hba.conf
  printf "%s\n" "listen_addresses='*'" shared_buffers=16MB log_min_messages=fatal \\
    >> $data/postgresql.conf
fi
setpriv --reuid=postgres --regid=postgres --clear-groups \\
  $bin/pg_ctl -D $data -l /var/log/postgresql/lab.log -w start >/dev/null
psql -qU burstd -d postgres -tc "select 1 from pg_database where datname='burstd'" | grep -q 1 \\
  || createdb -U burstd burstd
"""

# The smallest Ceph that serves S3: one monitor, one disk in memory, no manager. Its inner ports are
# on the loopback of `login`, and in a lab they trust who is there.
CEPH_CONF = f"""\
[global]
fsid = 5c8e1a52-0d0f-4e0b-9d59-0b7f5d2b7a11
mon host = v1:127.0.0.1:6789
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
admin socket = /run/ceph/$name.asok
log file = /var/log/ceph/$name.log
pid file = /run/ceph/$name.pid
# One disk keeps each object once.
mon allow pool size one = true
mon max pg per osd = 1000
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
# Where that disk is, lab-ceph says: the daemon may ask too early and end.
osd crush update on start = false
osd class update on start = false
# The monitor asks nobody else: it need not wait for more to write down.
paxos propose interval = 0.02
paxos min wait = 0.01
[mon]
mon data = /run/ceph/mon
mon data avail crit = 1
[osd]
osd data = /run/ceph/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client]
# With a delay, each small object would wait 40 ms for an acknowledgement.
rgw frontends = beast endpoint={facts.GATE_ADDRESS}:{facts.BUCKET_PORT} tcp_nodelay=1
rgw run sync thread = false
rgw thread pool size = 64
rgw rados pool pg num min = 1
# The memory of a deleted object is free again in seconds, not in hours.
rgw gc obj min wait = 5
rgw gc processor period = 5
"""

CEPH = """\
#!/bin/sh
# lab-ceph mon|osd|rgw: one daemon of the S3 server, with what it must find. Started by the lab.
set -eu
exec >>/var/log/ceph/start.log 2>&1
dir=/run/ceph
mkdir -p $dir
# Debian's ceph-osd looks for its classes in lib/..., as seen from where it was started.
cd /
# A monitor that has only just begun may refuse whoever asks (EPERM), also after it has answered.
again() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do "$@" && return; sleep 0.5; done
  return 1
}
case $1 in
mon)
  [ -e $dir/mon/kv_backend ] || {
    fsid=$(sed -n "s/^fsid = //p" /etc/ceph/ceph.conf)
    monmaptool --create --clobber --fsid "$fsid" --addv a v1:127.0.0.1:6789 $dir/monmap
    ceph-mon -i a --mkfs --monmap $dir/monmap
  }
  ceph-mon -i a ;;
osd)
  [ -e $dir/osd/ready ] || {
    mkdir -p $dir/osd
    uuid=$(cat /proc/sys/kernel/random/uuid)
    again ceph osd new "$uuid"
    again ceph osd crush add osd.0 1 root=default
    ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
    touch $dir/osd/ready
  }
  ceph-osd -i 0 ;;
rgw)
  . /etc/ceph/keys
  user() {
    radosgw-admin user info --uid=burst >/dev/null ||
      radosgw-admin user create --uid=burst --display-name=burst \\
        --access-key="$access" --secret-key="$secret" >/dev/null
  }
  again user
  radosgw -n client.rgw ;;
esac
"""


def hosts_file(host: HostSpec) -> str:
    """/etc/hosts of one host: its own site's names, no others."""
    if host is facts.OLD:
        return f"127.0.0.1 localhost\n{host.address} {host.name}\n"
    lines = ["127.0.0.1 localhost"]
    lines += [f"{other.address} {other.name}" for other in facts.members_of(host.site)]
    return "\n".join(lines) + "\n"


def passwd_line(user: User) -> str:
    return f"{user.name}:x:{user.uid}:{user.uid}::{user.home}:{SHELL}\n"


def shadow_line(user: User) -> str:
    """No password, and not locked either: sshd refuses keys of accounts marked with "!"."""
    return f"{user.name}:*:20000::::::\n"


def group_lines(users: tuple[User, ...]) -> str:
    """The users' own groups, with those who are members of another's."""
    lines = []
    for user in users:
        members = ",".join(other.name for other in users if user.name in other.groups)
        lines.append(f"{user.name}:x:{user.uid}:{members}\n")
    return "".join(lines)
