"""etcd and kube-apiserver alone, on loopback: real storage, real validation, real RBAC, seconds to start."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.faults.harness.calls import Call, understand
from tests.faults.harness.faults import status_body
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tools.cluster.build import build, built_folder, is_built
from tools.cluster.pins import ETCD, KUBERNETES

ADMIN, OPERATOR = "admin-token", "operator-token"
OPERATOR_USER = "system:serviceaccount:faults:operator"
# The API server alone: for who has no cluster built here. Its compile is 70 % of all of Kubernetes.
API_SERVER = replace(KUBERNETES, packages=KUBERNETES.packages[:1], binaries=KUBERNETES.binaries[:1])


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where the API server is, and what it trusts and shows."""

    address: str
    certificate: Path

    def tls(self) -> ssl.SSLContext:
        """A context that trusts this server and no other."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False  # made for the host's name; the certificate itself is pinned
        return context

    def understand(self, method: str, path: str, query: Mapping[str, str]) -> Call:
        """The call that a request is."""
        return understand(method, path, query)

    def question(self, path: str, query: Mapping[str, str]) -> tuple[str, ...]:
        """What a read asks for, without how new the answer has to be."""
        return path, query.get("labelSelector", ""), query.get("fieldSelector", "")

    def refusal(self, status: int, verb: str) -> dict[str, object]:
        """A Status object."""
        return status_body(status, verb)


def is_available() -> bool:
    """Whether the programs are built (`make faults` builds them)."""
    return is_built(ETCD) and (is_built(KUBERNETES) or is_built(API_SERVER))


def programs() -> tuple[Path, Path]:
    """Folders of kube-apiserver and etcd, built first if they are missing."""
    api_server = built_folder(KUBERNETES) if is_built(KUBERNETES) else build(API_SERVER, print)
    return api_server, build(ETCD, print)


@contextmanager
def running() -> Generator[ControlPlane]:
    """A control plane while the block runs; nothing of it is left after."""
    api_server, etcd = programs()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ExitStack() as stack:
        root = Path(folder)
        client, peer, secure = free_port(), free_port(), free_port()
        _write_credentials(root)
        stack.enter_context(_process(root / "etcd.log", [
            etcd / "etcd", "--data-dir", root / "etcd", "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        ]))  # fmt: skip
        server = stack.enter_context(_process(root / "apiserver.log", [
            api_server / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1", f"--secure-port={secure}", f"--cert-dir={root / 'certificates'}",
            "--authorization-mode=RBAC", "--anonymous-auth=false", f"--token-auth-file={root / 'tokens.csv'}",
            "--service-account-issuer=https://faults.invalid",
            f"--service-account-key-file={root / 'key.pem'}",
            f"--service-account-signing-key-file={root / 'key.pem'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            # Nobody makes the default ServiceAccount here: there is no controller manager.
            "--disable-admission-plugins=ServiceAccount",
        ]))  # fmt: skip
        plane = ControlPlane(f"https://127.0.0.1:{secure}", root / "certificates" / "apiserver.crt")
        wait_until(lambda: _ready(plane, server, root), seconds=90, what="the API server")
        yield plane


def _write_credentials(root: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (root / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    groups = "system:serviceaccounts,system:serviceaccounts:faults"
    (root / "tokens.csv").write_text(
        f'{ADMIN},admin,admin,"system:masters"\n{OPERATOR},{OPERATOR_USER},operator,"{groups}"\n'
    )


@contextmanager
def _process(log: Path, command: list[str | Path]) -> Generator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            # The storage goes with the folder: there is nothing to shut down in order.
            process.kill()
            process.wait()


def _ready(plane: ControlPlane, server: subprocess.Popen[bytes], root: Path) -> bool:
    assert server.poll() is None, (root / "apiserver.log").read_text()[-2000:]
    if not plane.certificate.exists():
        return False
    try:
        with httpx.Client(verify=plane.tls()) as client:
            reply = client.get(f"{plane.address}/readyz", headers={"Authorization": f"Bearer {ADMIN}"})
    except httpx.TransportError:
        return False
    return reply.status_code == 200
