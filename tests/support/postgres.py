"""A private PostgreSQL server for tests.

Own data folder, own port, run as an unprivileged user, gone afterwards.

Import the `postgres` fixture into a conftest. It finds Debian's binaries or `initdb` on the PATH.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

_INSTALL = "Install the server: apt-get install -y --no-install-recommends postgresql"
_USERS = ("postgres", "nobody")


@dataclass
class PostgresServer:
    """A cluster in `folder` that listens on a loopback port."""

    binaries: Path
    folder: Path
    port: int
    user: str | None
    databases: int = field(default=0)

    def start(self) -> None:
        """Start and wait until it answers."""
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port}"
            f" -c unix_socket_directories={self.folder} -c fsync=off"
        )
        self._run(
            "pg_ctl",
            "-D",
            str(self.data),
            "-l",
            str(self.folder / "log"),
            "-w",
            "-t",
            "60",
            "-o",
            options,
            "start",
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop as a crash would (`immediate`), or politely (`fast`)."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-m", mode, "stop")

    def create(self) -> None:
        """Make the cluster."""
        self._run("initdb", "-D", str(self.data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")

    def run(self, *statements: str) -> None:
        """Statements as the server's owner, each by itself."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # pyright: ignore[reportArgumentType]

    def new_database(self) -> str:
        """URL of a fresh database."""
        self.databases += 1
        name = f"events_{os.getpid()}_{self.databases}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    @property
    def data(self) -> Path:
        """The cluster's data folder."""
        return self.folder / "data"

    def url(self, database: str) -> str:
        """URL of a database of that name."""
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), *arguments]
        if self.user is not None:
            command = [
                "setpriv",
                f"--reuid={self.user}",
                "--clear-groups",
                f"--regid={_group(self.user)}",
                *command,
            ]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=program != "pg_ctl",
            check=False,
        )
        if done.returncode:
            log = self.folder / "log"
            said = (done.stderr or b"").decode() + (log.read_text() if log.exists() else "")
            raise RuntimeError(f"{program} failed ({done.returncode}): {said[-2000:]}")


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server for the length of the block (RuntimeError with an instruction if it is not installed)."""
    binaries = _binaries()
    user = next((u for u in _USERS if _exists(u)), None) if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="leadscore-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user is not None:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        server = PostgresServer(binaries, folder, _free_port(), user)
        server.create()
        server.start()
        try:
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the session; without binaries: a failure in CI, a skip with the reason elsewhere."""
    require_binaries()
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """URL of a fresh, empty database."""
    return postgres.new_database()


def require_binaries() -> None:
    """For tests that start a server by themselves: a failure in CI, a skip with the reason elsewhere."""
    try:
        _binaries()
    except RuntimeError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError(f"No PostgreSQL binaries found. {_INSTALL}")
    return Path(on_path).resolve().parent


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
