"""A Docker daemon of our own, where none is running: started, remembered, stopped.

Nothing else is touched.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.cluster import firewall
from tools.cluster.build import cache_root
from tools.cluster.errors import ClusterError
from tools.cluster.machine import Plan
from tools.cluster.shell import run, succeeds

START_SECONDS = 60
STOP_SECONDS = 60


def state_folder() -> Path:
    """What the running cluster needs to remember: pid, log and configuration of the daemon."""
    return cache_root() / "docker"


def install_packages(packages: Sequence[str]) -> None:
    """Install what the plan names from the distribution."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    hint = "Check the distribution's package sources, then run again."
    # The package's start script would race the daemon that we start with our own configuration.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        run(["apt-get", "update", "-qq"], timeout=300, env=environment, hint=hint)
        run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
            timeout=900,
            env=environment,
            hint=hint,
        )
    finally:
        if ours:
            policy.unlink()


def start(plan: Plan) -> None:
    """Start dockerd and wait until it answers; a daemon left by a crashed run is used as it is."""
    if succeeds(["docker", "info"]):
        return
    _sweep()
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    configuration: dict[str, object] = {
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "storage-driver": "overlay2",
        "data-root": str(folder / "data"),
        "pidfile": str(folder / "dockerd.pid"),
    }
    if plan.drop_sys_resource:
        configuration |= {
            "runtimes": {"fewer-caps": {"path": str(_runtime(folder))}},
            "default-runtime": "fewer-caps",
        }
    (folder / "daemon.json").write_text(json.dumps(configuration))
    firewall.remember(folder / "network.json")
    # Otherwise dockerd sets the FORWARD policy to DROP, which cuts pods off from DNS and services.
    firewall.IP_FORWARD.write_text("1")
    with (folder / "dockerd.log").open("ab") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--config-file", str(folder / "daemon.json")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    _wait_until_answers(daemon, folder / "dockerd.log")


def _wait_until_answers(daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if succeeds(["docker", "info"]):
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.3)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-6:])
    raise ClusterError(f"The Docker daemon did not start:\n{last}", hint=f"The whole log: {log}")


def is_running() -> bool:
    """Whether the daemon that `start` started is running."""
    pid = _pid()
    return pid is not None and _is_ours(pid)


def left_something() -> bool:
    """Whether a daemon of ours that no longer runs has left the network or a process number behind."""
    return (state_folder() / "network.json").exists() or _pid() is not None


def stop() -> bool:
    """Stop the daemon that `start` started, if it did, and put the network back; whether there was one."""
    pid = _pid()
    running = pid is not None and _is_ours(pid)
    if pid is not None and running:
        if succeeds(["docker", "network", "inspect", "kind"]):
            run(["docker", "network", "rm", "kind"])
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _is_ours(pid):
            if time.monotonic() > deadline:
                raise ClusterError(f"The Docker daemon (process {pid}) did not stop.", hint=f"kill -9 {pid}")
            time.sleep(0.1)
    _sweep()
    return running


def _sweep() -> None:
    """Remove what a stopped daemon, or one that was killed, has left."""
    firewall.restore(state_folder() / "network.json")
    data = str(state_folder() / "data")
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(
        [mount for mount in mounts if mount.startswith((data, "/var/run/docker", "/run/docker"))]
    ):
        run(["umount", mount])
    (state_folder() / "dockerd.pid").unlink(missing_ok=True)


def _pid() -> int | None:
    try:
        return int((state_folder() / "dockerd.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _is_ours(pid: int) -> bool:
    """Whether the process is still the daemon with our configuration, not a later one of that number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(state_folder() / "daemon.json").encode() in command


def _runtime(folder: Path) -> Path:
    """The runc wrapper, with the interpreter that is running now."""
    wrapper = folder / "runc-fewer-caps"
    source = (Path(__file__).parent / "runc_fewer_caps.py").read_text()
    wrapper.write_text(f"#!{sys.executable} -I\n{source}")
    wrapper.chmod(0o755)
    return wrapper
