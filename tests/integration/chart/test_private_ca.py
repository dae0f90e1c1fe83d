"""PostgreSQL, MLflow and an object store behind a company's own authority.

What the chart tells pods verifies each of them.

Real servers with TLS on loopback: PostgreSQL, `mlflow server` with the chart's arguments, and moto's S3. The
commands get the environment of the rendered pods, with the bundle where this machine has it.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import httpx
import pytest
from tests.support.artefacts import build_artefact
from tests.support.authority import Authority, new_authority
from tests.support.chart import Chart, containers
from tests.support.ports import free_port
from tests.support.postgres import require_binaries, running_postgres
from tests.support.waiting import wait_until

from leadscore_operator.specs.workload import Workload, pod_template

LEADSCORE = str(Path(sys.executable).with_name("leadscore"))
BUCKET = "leadscore"
SETTINGS = (
    *("caBundle.configMap=authorities", "operator.enabled=true", "postgresql.enabled=false"),
    *("events.existingSecret=events", "mlflow.enabled=true", "mlflow.existingSecret=mlflow"),
    *(f"mlflow.artifactRoot=s3://{BUCKET}/models", "model.source=registry", "networkPolicy.enabled=false"),
)
# What a Secret for an object store that is not AWS's holds (`envFrom`).
STORE = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word", "AWS_DEFAULT_REGION": "eu-central-1"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def database(authority: Authority) -> Iterator[str]:
    """URL of an event store that speaks TLS with the company's certificate."""
    require_binaries()
    with running_postgres() as server:
        for file in (authority.certificate, authority.key):
            copy = server.data / file.name
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o600)
            owner = server.data.stat()
            os.chown(copy, owner.st_uid, owner.st_gid)
        server.run(
            f"ALTER SYSTEM SET ssl_cert_file = '{authority.certificate.name}'",
            f"ALTER SYSTEM SET ssl_key_file = '{authority.key.name}'",
            "ALTER SYSTEM SET ssl = on",
            "SELECT pg_reload_conf()",
        )
        yield server.new_database()


def told(chart: Chart, component: str, authority: Authority, folder: Path) -> dict[str, str]:
    """The plain environment variables of a component's container, as far as they are about trust."""
    for manifest in chart.render(*SETTINGS):
        template = manifest.get("spec", {}).get("template")
        if manifest["kind"] == "ConfigMap" and "workload.yaml" in manifest["data"]:
            (folder / "workload.yaml").write_text(manifest["data"]["workload.yaml"])
            template = pod_template(Workload.read(folder / "workload.yaml"), [], {}, resources={})
        if template and template["metadata"]["labels"]["app.kubernetes.io/component"] == component:
            known = {e["name"]: e.get("value", "") for e in containers(template["spec"])[-1]["env"]}
            return {
                name: value.replace("/etc/leadscore-ca/ca.crt", str(authority.bundle))
                for name, value in known.items()
                if name.startswith("PG") or name.endswith(("_CA_BUNDLE", "_CERT_FILE"))
            }
    raise LookupError(component)


def run(command: list[str], environment: Mapping[str, str], home: Path) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(home), "LEADSCORE_HOME": str(home), "COLUMNS": "400"}
    return subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("component", ["scoring", "operator", "jobs"])
def test_a_database_behind_a_private_authority_is_verified(
    chart: Chart, authority: Authority, database: str, tmp_path: Path, component: str
) -> None:
    trust = told(chart, component, authority, tmp_path)
    assert trust["PGSSLMODE"] == "verify-full"
    command = [LEADSCORE, "events", "status", "--json"]
    url = {"LEADSCORE_EVENTS_URL": database}
    done = run(command, trust | url, tmp_path)
    assert done.returncode == 0, done.stderr
    stranger = new_authority(tmp_path).bundle
    said = run(command, trust | url | {"PGSSLROOTCERT": str(stranger)}, tmp_path)
    assert said.returncode != 0
    assert "certificate verify failed" in said.stderr
    other = {"LEADSCORE_EVENTS_URL": database.replace("127.0.0.1", "localhost")}
    said = run(command, trust | other, tmp_path)
    assert "does not match host name" in said.stderr


PUBLISH = """
import sys
from pathlib import Path
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home
print(ModelRegistry(Home.from_environment()).publish(Path(sys.argv[1]), "leads", alias="champion").digest)
"""
FETCH = """
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home
print(ScoringModel.load(ModelRegistry(Home.from_environment()).fetch("leads@champion")).digest)
"""


@pytest.fixture(scope="module")
def object_store(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment that finds an S3 with the bucket."""
    port = free_port()
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
            *("--ssl", "-c", str(authority.certificate), "-k", str(authority.key)),
        ],
        stdout=log, stderr=log,
    )  # fmt: skip
    address = f"https://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(address, authority), seconds=120, what="the object store")
        client = boto3.client(
            "s3", endpoint_url=address, verify=str(authority.bundle), region_name="eu-central-1",
            aws_access_key_id="id", aws_secret_access_key="word",
        )  # fmt: skip
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": STORE["AWS_DEFAULT_REGION"]}
        )
        yield STORE | {"MLFLOW_S3_ENDPOINT_URL": address}
    finally:
        server.kill()
        server.wait()
        log.close()


@pytest.fixture(scope="module")
def registry(chart: Chart, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server with the chart's own arguments, over HTTPS."""
    folder = tmp_path_factory.mktemp("mlflow")
    (server,) = [
        m
        for m in chart.render(*SETTINGS)
        if m["kind"] == "Deployment" and m["metadata"]["name"].endswith("-mlflow")
    ]
    (container,) = server["spec"]["template"]["spec"]["containers"]
    arguments = [a for a in container["args"] if a.startswith(("--no-serve", "--default-artifact-root"))]
    port = free_port()
    uvicorn = f"--ssl-certfile {authority.certificate} --ssl-keyfile {authority.key}"
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}",
                    "--workers=1"),
                *(f"--backend-store-uri=sqlite:///{folder / 'server.db'}", f"--uvicorn-opts={uvicorn}",
                    *arguments),
            ],
            stdout=log, stderr=log, start_new_session=True, env=environment,
        )  # fmt: skip
        address = f"https://127.0.0.1:{port}"
        try:
            wait_until(lambda: _answers(f"{address}/health", authority), seconds=300, what="MLflow")
            yield address
        finally:
            os.killpg(process.pid, 9)
            process.wait()


def _answers(address: str, authority: Authority) -> bool:
    try:
        return (
            httpx.get(
                address, verify=ssl.create_default_context(cafile=authority.bundle), timeout=5
            ).status_code
            < 500
        )
    except httpx.TransportError:
        return False


def test_a_model_goes_into_an_object_store_and_comes_back_whole(
    chart: Chart, authority: Authority, registry: str, object_store: dict[str, str], tmp_path: Path
) -> None:
    """Neither MLflow nor the store is known to any public authority.

    Both are asked as the Jobs and the init container ask.
    """
    artefact = build_artefact(tmp_path / "artefact", seed=1, trees=200)
    trust = told(chart, "jobs", authority, tmp_path)
    environment = trust | object_store | {"LEADSCORE_TRACKING_URI": registry}
    published = run([sys.executable, "-c", PUBLISH, str(artefact)], environment, tmp_path / "a")
    assert published.returncode == 0, published.stderr
    fetched = run([sys.executable, "-c", FETCH], environment, tmp_path / "b")
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stdout.split()[-1] == published.stdout.split()[-1]
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        assert trust[variable] == str(authority.bundle)
    untrusted = {name: value for name, value in environment.items() if name not in trust}
    command = [LEADSCORE, "models", "fetch", "leads@champion"]
    said = run(command, untrusted, tmp_path / "c")
    assert said.returncode != 0
    assert "certificate verify failed" in said.stderr
    assert "Traceback" not in said.stderr
    stranger = str(new_authority(tmp_path).bundle)
    said = run(command, environment | {"AWS_CA_BUNDLE": stranger}, tmp_path / "d")
    assert said.returncode != 0
    assert "Traceback" not in said.stderr
    assert "SSL" in said.stderr or "certificate" in said.stderr
