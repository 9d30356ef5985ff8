"""Gives the two ends of the link what they must know of each other, as an administrator would."""

from __future__ import annotations

from lab.facts import GATE_ADDRESS
from lab.host import Host

# Keys are made once per lab; a second run finds them.
_KEYS = """\
set -eu
umask 077
cd /etc/wireguard
[ -s enrol.psk ] || {
  wg genkey > gate.key; wg pubkey < gate.key > gate.pub
  wg genkey > enrol.key; wg pubkey < enrol.key > enrol.pub
  wg genpsk > enrol.psk
}
[ -s /root/burstd_ca ] || ssh-keygen -q -t ed25519 -N '' -C burstd-ca -f /root/burstd_ca
install -m 644 /root/burstd_ca.pub /etc/ssh/burstd_ca.pub
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -C login -f /etc/ssh/ssh_host_ed25519_key
"""


def enrol(px: Host, login: Host) -> None:
    """Make the keys on the cloud's gate and lay the site's half on the proxy host. Idempotent."""
    login.sh(_KEYS)
    netd = "burst-net:burst-net"
    for name in ("enrol.key", "enrol.psk", "gate.pub"):
        px.write(f"/etc/burstd/netd/{name}", login.read(f"/etc/wireguard/{name}"), 0o600, netd)
    px.write("/etc/burstd/ca", login.read("/root/burstd_ca"), 0o600, "burstd:burstd")
    px.write("/etc/burstd/ca.pub", login.read("/root/burstd_ca.pub"), 0o644, "burstd:burstd")
    host_key = login.read("/etc/ssh/ssh_host_ed25519_key.pub").rsplit(" ", 1)[0]
    px.write("/etc/burstd/known_hosts", f"{GATE_ADDRESS} {host_key}\n")
    # The site's own secrets have no business at the far end.
    login.sh("rm -f /root/burstd_ca /etc/wireguard/enrol.key")
