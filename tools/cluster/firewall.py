"""What a Docker daemon leaves in the kernel's network when it stops: found by comparison, and taken away."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.cluster.shell import run

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
DOCKERS = re.compile(r"DOCKER|\bdocker0\b|\bbr-[0-9a-f]{12}\b")
TABLES = ("iptables", "ip6tables")


@dataclass(frozen=True, slots=True)
class Network:
    """The network as it was before the daemon.

    Attributes:
        rules: `iptables-save` per address family.
        bridges: Names of bridge interfaces.
        ip_forward: Content of the kernel's switch.
    """

    rules: dict[str, str]
    bridges: list[str]
    ip_forward: str


def read_network() -> Network:
    """The network now."""
    rules = {table: run([f"{table}-save"]) for table in TABLES if shutil.which(f"{table}-save")}
    links = run(["ip", "-json", "link", "show", "type", "bridge"])
    bridges = [link["ifname"] for link in json.loads(links or "[]") if link]
    return Network(rules, bridges, IP_FORWARD.read_text())


def remember(target: Path) -> None:
    """Write the network as it is, unless a daemon's earlier, crashed run has written it already."""
    if not target.exists():
        target.write_text(json.dumps(asdict(read_network())))


def restore(saved: Path) -> None:
    """Take away what Docker has added since; rules of others, also later ones, stay."""
    if not saved.exists():
        return
    before, now = Network(**json.loads(saved.read_text())), read_network()
    for bridge in now.bridges:
        if bridge not in before.bridges and DOCKERS.search(bridge):
            run(["ip", "link", "delete", bridge])
    for table, rules in now.rules.items():
        wanted = without_docker(rules, before.rules.get(table, ""))
        if wanted != rules:
            run([f"{table}-restore"], stdin=wanted)
    IP_FORWARD.write_text(before.ip_forward)
    saved.unlink()


def without_docker(now: str, before: str) -> str:
    """Rules (in the format of `iptables-save`) without those that Docker has added since `before`; pure."""
    known = set(before.splitlines())
    kept = [line for line in now.splitlines() if line in known or not _added_by_docker(line)]
    return "\n".join(kept) + "\n"


def _added_by_docker(line: str) -> bool:
    return line.startswith((":", "-A")) and DOCKERS.search(line) is not None
