"""The net between the sites: only WireGuard passes; rate, delay and cuts can be set at any time.

    px --[to-px | br-px | join-px]--[join-login | br-login | to-login]-- login

With a delay the join is replaced by two taps and a small program that hands the frames over later
(the kernel has no netem). The rate is a token bucket on the two outer ports, one per direction.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import procs
from lab.errors import LabError
from lab.facts import GATE_PORT
from lab.host import Host

ENDS = ("px", "login")
_RULES = """\
add table bridge wan
delete table bridge wan
table bridge wan {{
  chain forward {{
    type filter hook forward priority 0; policy drop;
    {cut}
    ether type arp counter accept
    udp dport {port} counter accept
    udp sport {port} counter accept
    counter comment "dropped"
  }}
}}
"""
_UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


@dataclass(frozen=True)
class Weather:
    """How the WAN is.

    `rate` per direction as tc writes it ("100mbit"), `delay` one way ("30ms"), `cut`.
    """

    rate: str | None = None
    delay: str | None = None
    cut: bool = False


@dataclass(frozen=True)
class Wan:
    """The WAN of a running lab."""

    host: Host

    def now(self) -> Weather:
        """What was set last."""
        file = self._file()
        return Weather(**json.loads(file.read_text())) if file.exists() else Weather()

    def set(self, rate: str | None = None, delay: str | None = None, cut: bool = False) -> None:
        """Make the WAN so; what is not named goes back to none. At any time, idempotent.

        `delay` is one way: a round trip takes twice as long. Raises LabError for a value it can't
        read.
        """
        bits, milliseconds = _rate(rate), _delay(delay)
        rules = _RULES.format(port=GATE_PORT, cut="drop" if cut else "")
        self.host.run(["nft", "-f", "-"], input=rules)
        self._set_rate(bits)
        if self.now().delay != delay or not self._file().exists() or (delay and not self._relays()):
            self._set_delay(milliseconds)
        fresh = self._file().with_suffix(".new")
        fresh.write_text(json.dumps(asdict(Weather(rate, delay, cut))))
        fresh.rename(self._file())

    def dropped(self) -> int:
        """How many packets the WAN refused since the last `set`."""
        asked = ["nft", "-j", "list", "chain", "bridge", "wan", "forward"]
        listed = json.loads(self.host.run(asked).stdout)
        for rule in (entry.get("rule", {}) for entry in listed["nftables"]):
            if rule.get("comment") == "dropped":
                return int(next(e["counter"]["packets"] for e in rule["expr"] if "counter" in e))
        raise LabError("the WAN has no filter", "python -m lab wan --reset")

    @contextmanager
    def capture(self, path: Path) -> Iterator[Path]:
        """Record what both sites send into the WAN, each frame once, as pcap in `path`.

        Also what the WAN then refuses to pass on.
        """
        log_path = path.with_suffix(".log")
        for left in self.host.processes("tcpdump"):  # of a capture that was interrupted
            left.signal(signal.SIGKILL)
        path.unlink(missing_ok=True)
        with path.open("wb") as file, log_path.open("wb") as log:
            popen = subprocess.Popen(
                self.host.entry(self._tcpdump()), env=self.host.environment("root"),
                stdin=subprocess.DEVNULL, stdout=file, stderr=log,
            )  # fmt: skip
            try:
                _wait_for(lambda: path.stat().st_size >= 24 or popen.poll() is not None, 5)
                if popen.poll() is not None:
                    raise LabError(f"tcpdump does not start: {log_path.read_text().strip()}")
                yield path
            finally:
                for child in map(procs.Process.of, procs.children(popen.pid)):
                    if child:
                        child.signal(signal.SIGINT)
                popen.wait(10)

    def _tcpdump(self) -> list[str]:
        """Only what enters by the two outer ports: each frame passes several more inside."""
        ports = json.loads(self.host.run(["ip", "-j", "link", "show"]).stdout)
        outer = {f"to-{end}" for end in ENDS}
        which = " or ".join(f"ifindex {p['ifindex']}" for p in ports if p["ifname"] in outer)
        options = ["-i", "any", "-Q", "in", "-U", "--immediate-mode", "-B", "16384", "-n"]
        return ["tcpdump", *options, "-w", "-", which]

    def _set_rate(self, bits: float | None) -> None:
        for end in ENDS:
            port = f"to-{end}"
            if bits is None:
                self.host.run(["tc", "qdisc", "del", "dev", port, "root"], check=False)
            else:
                # 10 ms of the rate, but never less than a few frames.
                burst = f"{max(16384, int(bits / 8 / 100))}b"
                shape = ["rate", f"{bits:.0f}bit", "burst", burst, "latency", "50ms"]
                self.host.run(["tc", "qdisc", "replace", "dev", port, "root", "tbf", *shape])

    def _set_delay(self, milliseconds: float | None) -> None:
        for relay in self._relays():
            relay.signal(signal.SIGKILL)
            relay.wait_gone(5)
        lines = []
        for end in ENDS:
            self.host.run(["ip", "link", "del", f"tap-{end}"], check=False)
            if milliseconds is None:
                lines.append(f"link set dev join-{end} master br-{end} up")
            else:
                lines += [
                    f"link set dev join-{end} nomaster down",
                    f"tuntap add name tap-{end} mode tap",
                    f"link set dev tap-{end} txqueuelen 5000 master br-{end} up",
                ]
        self.host.run(["ip", "-batch", "-"], input="".join(f"{line}\n" for line in lines))
        if milliseconds is not None:
            taps = " ".join(f"tap-{end}" for end in ENDS)
            launch = f"setsid -f wan-delay {milliseconds} {taps}"
            self.host.sh(f"{launch} >>/var/log/wan-delay.log 2>&1 </dev/null")

    def _relays(self) -> list[procs.Process]:
        return self.host.processes("wan-delay")

    def _file(self) -> Path:
        return self.host.paths.state / "wan.json"


def _rate(text: str | None) -> float | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(kbit|mbit|gbit)", text)
    if not match or float(match[1]) <= 0:
        raise LabError(f"{text!r} is no rate", "write it as 500kbit, 100mbit or 1gbit")
    return float(match[1]) * _UNITS[match[2]]


def _delay(text: str | None) -> float | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text)
    if not match:
        raise LabError(f"{text!r} is no delay", "write it as 30ms or 0.5s")
    return float(match[1]) * (1000 if match[2] == "s" else 1) or None


def _wait_for(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
