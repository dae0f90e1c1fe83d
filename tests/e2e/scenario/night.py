"""Words for a night: a table of leads, a start of the CronJob, a pod that is killed, what is left."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
from deltalake import write_deltalake
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.images import MODEL
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import FULL, Release, Values
from tests.e2e.scenario.then import Then
from tests.e2e.scenario.when import When
from tests.support.artefacts import build_artefact, sample_leads

# As many as take a quiet machine long enough to be killed in between.
LEADS: Final = 200_000
_JOBS: Final = "app.kubernetes.io/component=batch"
_LOGGED: Final = "SELECT count(*) FROM predictions WHERE source = 'batch'"
# In the registry's pod, which has the jobs image and is given the lake besides.
_PREPARE: Final = """
import base64, io, sys, tarfile
from pathlib import Path
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home
archive = tarfile.open(fileobj=io.BytesIO(base64.b64decode(sys.stdin.read())))
archive.extractall("/tmp/given")
archive.extractall("/lake", members=[m for m in archive if m.name.startswith("leads")])
registry = ModelRegistry(Home.from_environment())
print(registry.publish(Path("/tmp/given/1"), NAME, alias="champion", by="scenario").ref)
"""
_LOOK: Final = """
import hashlib, json
from deltalake import DeltaTable
table = DeltaTable("/lake/scores")
rows = table.to_pyarrow_table(columns=["lead_id", "prediction_id", "model_version"])
ids = sorted(rows["prediction_id"].to_pylist())
print(json.dumps({
    "version": table.version(), "rows": rows.num_rows, "leads": len(set(rows["lead_id"].to_pylist())),
    "predictions": len(set(ids)), "digest": hashlib.md5(",".join(ids).encode()).hexdigest(),
    "models": sorted(set(rows["model_version"].to_pylist())),
}))
"""


def lake_claim() -> Object:
    """Where the lake is; one node, so that its volume is every pod's."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "lake"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "500Mi"}}},
    }


def night_values(zone: str) -> Values:
    """Nights that are due from midnight on, started by nobody but the scenario."""
    never = "0 0 31 12 *"
    return {
        "batch": {
            "enabled": True,
            "leads": "/lake/leads",
            "claim": "lake",
            "at": "00:00",
            "timeZone": zone,
            "schedule": never,
            "publish": {"enabled": False},
            "maintenance": {"schedule": never},
            "threads": 1,
            # Slow enough to be met in the middle.
            "resources": {"requests": {"cpu": "25m", "memory": "256Mi"}, "limits": {"cpu": "500m"}},
        },
        "mlflow": {
            "extraVolumes": [{"name": "lake", "persistentVolumeClaim": {"claimName": "lake"}}],
            "extraVolumeMounts": [{"name": "lake", "mountPath": "/lake"}],
        },
    }


def prepare(made: Release, folder: Path) -> None:
    """Publish a champion, and put the table of leads where the CRM's export would."""
    artefact = build_artefact(folder / "1", name=MODEL, trees=19)
    leads = sample_leads(LEADS, seed=4)
    write_deltalake(folder / "leads", leads.set_column(0, "lead_id", pa.array(map(lead_id, range(LEADS)))))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        packed.add(artefact, arcname="1")
        packed.add(folder / "leads", arcname="leads")
    said = _in_registry(
        made, _PREPARE.replace("NAME", repr(MODEL)), base64.b64encode(archive.getvalue()).decode()
    )
    assert f"{MODEL}/1" in said.split(), said


def lead_id(number: int) -> str:
    """Of a lead of the table; none of those that callers send."""
    return f"crm-{number:06d}"


def _in_registry(release: Release, code: str, stdin: str = "") -> str:
    settings = ("LEADSCORE_TRACKING_URI=http://127.0.0.1:5000", "LEADSCORE_HOME=/tmp/leadscore")
    target = f"deployment/{FULL}-mlflow"
    command = ("exec", "--stdin", target, "--", "env", *settings, "python", "-c", code)
    return release.kube.run(*command, stdin=stdin, timeout=180)


class NightGiven(Given):
    """Beginnings."""

    def stable(self, version: int) -> NightGiven:
        """A healthy release that serves this version alone."""
        super().stable(version)
        return self

    def load(self, rate: float = 25, *, bulk_share: float = 0.3) -> NightGiven:
        """A constant rate from outside."""
        super().load(rate, bulk_share=bulk_share)
        return self

    @property
    def when(self) -> NightWhen:
        """Something happens."""
        return NightWhen(self._scene)


class NightWhen(When):
    """Things that happen at night."""

    def the_night_starts(self, name: str) -> Self:
        """`kubectl create job --from=cronjob/…`."""
        scene = self._scene
        scene.notes["night"] = name
        self._now()
        scene.kube.run("create", "job", f"--from=cronjob/{FULL}-batch", name)
        return self

    def its_pod_is_killed_in_the_middle(self) -> Self:
        """Some predictions are stored, and not all: its pod is gone at once."""
        scene = self._scene
        wait_until(lambda: self._logged() > 0, seconds=120, what="predictions of the night", every=0.2)
        scene.kube.run("delete", "pods", f"--selector={_JOBS}", "--force", "--grace-period=0")
        assert self._logged() < LEADS, "the night was over before it could be killed"
        return self

    @property
    def then(self) -> NightThen:
        """What must be so afterwards."""
        return NightThen(self._scene)

    def _logged(self) -> int:
        return int(self._scene.release.psql(_LOGGED))


class NightThen(Then):
    """Claims about what a night has left."""

    @property
    def when(self) -> NightWhen:
        """Something else happens."""
        return NightWhen(self._scene)

    def it_ends(self, *, killed: int = 0) -> Self:
        """Its Job is complete, after so many pods that were not."""
        scene = self._scene
        name = scene.notes["night"]
        job: dict[str, Any] = {}

        def ended() -> bool:
            job.update(scene.kube.get("job", name))
            conditions = [c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"]
            assert "Failed" not in conditions, job["status"]
            return "Complete" in conditions

        wait_until(ended, seconds=180, what=f"the end of {name}")
        assert job["status"].get("failed", 0) == killed, job["status"]
        if killed:
            scene.figure(f"a night of {LEADS:,} leads, killed once", time.monotonic() - scene.began, "s")
        return self

    def every_lead_has_one_score(self) -> Self:
        """One commit into the table of scores, and exactly its predictions in the event store."""
        release = self._scene.release
        lake = json.loads(_in_registry(release, _LOOK))
        # Version 0 is the table, empty.
        assert (lake["version"], lake["models"]) == (1, ["1"]), lake
        assert (lake["rows"], lake["leads"], lake["predictions"]) == (LEADS, LEADS, LEADS), lake
        stored = release.psql(
            "SELECT count(*), count(DISTINCT prediction_id), count(DISTINCT lead_id), "
            "md5(string_agg(prediction_id, ',' ORDER BY prediction_id COLLATE \"C\")) "
            "FROM predictions WHERE role = 'batch' AND source = 'batch'"
        )
        assert stored.split("|") == [*[str(LEADS)] * 3, lake["digest"]], stored
        return self
