"""Images as they are built: the same every time, and as bare as docs/images.md says."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.support.artefacts import build_artefact
from tools.images import bases, build, load, model
from tools.images.__main__ import registry_answers
from tools.images.paths import ROOT, cache_root
from tools.images.roles import MODEL, find

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FACTS = """
import ctypes, importlib.util, json, os, pathlib, pwd, shutil
from leadscore.scoring.native_kernel import LIBRARY
ctypes.CDLL(str(LIBRARY))
def writable(path):
    try:
        pathlib.Path(path, "x").write_text("x")
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(),
    "user": pwd.getpwuid(os.getuid()).pw_name,
    "programs": [
        name for name in ("gcc", "cc", "apt", "dpkg", "pip", "pip3", "git", "perl") if shutil.which(name)
    ],
    "pip": importlib.util.find_spec("pip") is not None,
    "writable": [path for path in ("/", "/opt/leadscore", "/etc", "/tmp") if writable(path)],
}))
"""
TRAINERS = (
    "import lightgbm, xgboost, mlflow, psycopg, deltalake; print(lightgbm.__version__, xgboost.__version__)"
)


def silent(_: str) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def registry():
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.fail("No Docker daemon answers: run `make cluster-up` first.")
    return registry_answers()


@pytest.fixture(scope="module")
def images(registry):
    def built(name):
        image = build.build(build.plan(find(name), registry=registry), registry=registry, on_step=silent)
        load.load_into_docker(image)
        return image

    return built


def run(image, entrypoint, *arguments):
    """Standard output of a container as pods run it: no network, read-only root, no rights."""
    command = ["docker", "run", "--rm", "--read-only", "--network=none", "--cap-drop=ALL", "--tmpfs=/tmp"]
    command += ["--security-opt=no-new-privileges", f"--entrypoint={entrypoint}", image.reference, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_builds_with_and_without_cached_layers_are_the_same_bytes(registry, tmp_path):
    artefact = build_artefact(tmp_path / "artefact")
    planned = model.plan_model(artefact, "built-twice", 1, registry=registry, epoch=1_700_000_000)
    bases.ensure(MODEL.base, registry=registry)
    parts = [(MODEL.folder / "Dockerfile", "Dockerfile"), (artefact, "model")]
    archives = []
    for fresh in (True, True, False):
        built = build.assemble(planned, parts, silent, registry=registry, fresh=fresh)
        archives.append((built.digest, Path(built.archive).read_bytes(), built.bill.read_text()))
    assert archives[0] == archives[1] == archives[2]


def test_the_service_has_its_kernel_and_nothing_to_build_or_install_with(images):
    facts = json.loads(run(images("service"), "python", "-c", FACTS))
    assert facts == {"uid": 10001, "user": "leadscore", "programs": [], "pip": False, "writable": ["/tmp"]}


def test_the_service_names_nothing_of_the_machine_that_built_it(images):
    traces = [str(path).encode() for path in (ROOT, cache_root())]
    found = []
    with tarfile.open(images("service").archive) as image:
        (manifest,) = json.load(image.extractfile("manifest.json"))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                files = (member for member in layer if member.isreg())
                contents = ((member.name, layer.extractfile(member).read()) for member in files)
                found += [path for path, content in contents if any(trace in content for trace in traces)]
    assert found == []


def test_jobs_can_train_with_both_boosters_and_run_mlflow(images):
    jobs = images("jobs")
    assert len(run(jobs, "python", "-c", TRAINERS).split()) == 2
    assert "version" in run(jobs, "mlflow", "--version")
    assert "train" in run(jobs, "leadscore", "--help")


def test_the_load_test_loads_its_users(images):
    assert "Available Users" in run(images("loadtest"), "locust", "-f", "loadtests/locustfile.py", "--list")
