"""Words for scores that reach a CRM: a receiver of webhooks and Dataverse, both on this machine.

Leads are few and scored again and again, so that what waits is replaced, and what arrives can be compared.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from tests.e2e.scenario.given import Given
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.load import Load, bodies_of
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import FULL
from tests.e2e.scenario.then import Then
from tests.e2e.scenario.when import When
from tests.support.authority import Authority, new_authority
from tests.support.crm_dynamics import FakeDynamics, row_id
from tests.support.crm_server import SimulatedClock

from leadscore.crm.signing import read_secret, verify_webhook
from leadscore.errors import UnauthorizedError

TARGET: Final = "dataverse"
ENDPOINT: Final = "ours"
CREDENTIALS: Final = "dataverse-app"
FIELDS: Final = {"score": "ls_score", "grade": "ls_grade", "prediction_id": "ls_prediction"}
DETECTOR: Final = "leads"
_LEADS: Final = 60
_NEWEST: Final = (
    "SELECT DISTINCT ON (lead_id) lead_id, grade, round(score::numeric, 2) FROM predictions "
    "ORDER BY lead_id, scored_at DESC, prediction_id DESC"
)


@dataclass
class Crm:
    """Both receivers and what they were told.

    Attributes:
        dataverse: Answers as Microsoft documents; has a row for each lead.
        authority: Of its certificate.
        hooks: Where the webhook's receiver listens.
        secrets: Of the endpoint; each may sign.
        signed_by: Those that have signed.
        newest: What the webhook was told of each lead, by its sequence.
        unsigned: Messages that nobody we know has signed.
    """

    dataverse: FakeDynamics
    authority: Authority
    hooks: str = ""
    secrets: list[str] = field(default_factory=list[str])
    signed_by: set[str] = field(default_factory=set[str])
    newest: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    unsigned: int = 0

    def credentials(self) -> Object:
        """The Secret that the target's `existingSecret` names."""
        crm = self.dataverse
        entries = {
            "client_id": "leadscore",
            "client_secret": crm.secret,
            "token_url": f"{crm.url}{crm.token_path}",
        }
        return {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIALS}, "stringData": entries,
        }  # fmt: skip

    def post(self, headers: dict[str, str], body: bytes) -> int:
        """Take a webhook's message; the status of the answer."""
        for secret in self.secrets:
            try:
                verify_webhook(read_secret(secret), headers, body, time.time())
            except UnauthorizedError:
                continue
            self.signed_by.add(secret)
            data = json.loads(body)["data"]
            known = self.newest.get(data["lead_id"])
            if known is None or known["sequence"] < data["sequence"]:
                self.newest[data["lead_id"]] = data
            return 200
        self.unsigned += 1
        return 401


@contextmanager
def crm_at(address: str, folder: Path) -> Generator[Crm]:
    """Both receivers at an address that pods reach."""
    authority = new_authority(folder, address)
    tls = (authority.certificate, authority.key)
    with FakeDynamics(SimulatedClock(), address=address, tls=tls) as dataverse:
        dataverse.records = {row_id(number): {} for number in range(_LEADS)}
        made = Crm(dataverse, authority)
        server = ThreadingHTTPServer((address, 0), _handler(made))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="hooks", daemon=True).start()
        made.hooks = f"http://{address}:{server.server_port}/hooks"
        try:
            yield made
        finally:
            server.shutdown()
            server.server_close()


def _handler(crm: Crm) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = crm.post({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Say nothing."""

    return Handler


class CrmGiven(Given):
    """Beginnings."""

    def stable(self, version: int) -> CrmGiven:
        """A healthy release that serves this version alone."""
        super().stable(version)
        return self

    def crm(self, crm: Crm) -> CrmGiven:
        """Scores go to these from now on."""
        self._scene.notes["crm"] = crm
        return self

    def few_leads_again_and_again(self, rate: float = 20) -> CrmGiven:
        """A constant rate of requests from outside, about leads that the CRM has, until the scenario ends."""
        scene = self._scene
        leads, numbers = scene.release.leads(), itertools.count()
        scene.load = Load(
            scene.release.endpoint(),
            bodies_of(lambda: {**next(leads), "lead_id": row_id(next(numbers) % _LEADS)}),
            rate,
            scene.inquiry.about,
        ).__enter__()
        wait_until(lambda: len(scene.tally.requests) >= rate, seconds=30, what="the first replies")
        return self

    @property
    def when(self) -> CrmWhen:
        """Something happens."""
        return CrmWhen(self._scene)


class CrmWhen(When):
    """Things that happen to CRM and monitor."""

    @property
    def _crm(self) -> Crm:
        found: Crm = self._scene.notes["crm"]
        return found

    def an_endpoint_is_added(self) -> Self:
        """`leadscore crm endpoints add` in the monitor's pod prints its secret, once."""
        said = json.loads(self._leadscore("crm", "endpoints", "add", ENDPOINT, self._crm.hooks, "--json"))
        self._crm.secrets.append(said["secret"])
        return self

    def its_secret_is_rotated(self) -> Self:
        """`leadscore crm endpoints rotate`; the receiver forgets the old one when it has seen the new."""
        said = json.loads(self._leadscore("crm", "endpoints", "rotate", ENDPOINT, "--json"))
        crm = self._crm
        # What was on its way meanwhile has one signature, by the old secret.
        crm.secrets.insert(0, said["secret"])
        wait_until(lambda: said["secret"] in crm.signed_by, seconds=60, what="the new secret's signature")
        crm.secrets[:] = [said["secret"]]
        return self

    def both_have_been_told(self) -> Self:
        """Wait until both know some leads."""
        crm = self._crm
        wait_until(
            lambda: bool(crm.newest) and any(crm.dataverse.records.values()),
            seconds=90, what="first scores at both receivers",
        )  # fmt: skip
        return self

    def the_crm_deletes_a_lead(self) -> Self:
        """Somebody deletes one of its leads."""
        self._crm.dataverse.deleted.add(row_id(7))
        return self

    def a_score_is_given_up(self) -> Self:
        """Wait until one is a dead letter."""
        letters = lambda: json.loads(self._leadscore("crm", "dead-letters", "--json"))  # noqa: E731
        wait_until(lambda: bool(letters()), seconds=90, what="a dead letter")
        return self

    def its_lead_is_back(self) -> Self:
        """It is restored, and a person has its score sent again."""
        self._crm.dataverse.deleted.clear()
        self._leadscore("crm", "resend", "--target", TARGET)
        return self

    def the_crm_takes_another_secret(self, secret: str) -> Self:
        """The one that the monitor has is refused from now on, and so are its tokens."""
        crm = self._crm.dataverse
        with crm.lock:
            crm.secret = secret
            crm.tokens.clear()
        self._scene.notes["tokens"] = crm.counts["tokens"]
        wait_until(lambda: "gives no token" in self._status(), seconds=60, what="the CRM's refusal")
        return self

    def its_kubernetes_secret_is_changed(self) -> Self:
        """`kubectl apply`; no pod is restarted."""
        self._scene.kube.run("apply", "--filename=-", stdin=json.dumps(self._crm.credentials()))
        return self

    def requests_end(self) -> Self:
        """No lead is scored any more."""
        assert self._scene.load is not None
        self._scene.load.stop()
        return self

    def somebody_looks_at_the_detector(self) -> Self:
        """A change of its object: the operator need not wait for its next look."""
        stamp = f"scenario.test/asked={time.monotonic():.3f}"
        self._scene.kube.run("annotate", "--overwrite", "driftdetector", DETECTOR, stamp)
        return self

    @property
    def then(self) -> CrmThen:
        """What must be so afterwards."""
        return CrmThen(self._scene)

    def _status(self) -> str:
        return self._leadscore("crm", "status", "--json")

    def _leadscore(self, *words: str) -> str:
        return self._scene.kube.run(
            "exec", f"deployment/{FULL}-monitor", "--container=monitor", "--", "leadscore", *words
        )


class CrmThen(Then):
    """Claims about what has arrived."""

    @property
    def when(self) -> CrmWhen:
        """Something else happens."""
        return CrmWhen(self._scene)

    @property
    def _crm(self) -> Crm:
        found: Crm = self._scene.notes["crm"]
        return found

    def both_have_what_the_log_says(self) -> Self:
        """Each lead's newest score, grade for grade, and no lead that was not there."""
        wait_until(lambda: self._differing() == 0, seconds=150, what="every newest score at both")
        crm = self._crm
        assert len(crm.dataverse.records) == _LEADS
        assert crm.unsigned == 0
        assert crm.dataverse.counts["nulls"] == 0
        return self

    def the_detector_says(self, status: str, pattern: str) -> Self:
        """Its condition CrmSyncHealthy."""

        def said(detector: Object) -> bool:
            conditions = detector.get("status", {}).get("conditions", [])
            found = next((c for c in conditions if c["type"] == "CrmSyncHealthy"), None)
            return found is not None and found["status"] == status and pattern in found["message"]

        watch = self._scene.watch("driftdetector", DETECTOR)
        try:
            watch.until(said, seconds=60, what=f"CrmSyncHealthy {status}: {pattern}", since=time.monotonic())
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {watch.seen[-1].object.get('status')}") from error
        return self

    def the_crm_is_asked_for_a_token_again(self) -> Self:
        """With a secret that it takes."""
        crm, before = self._crm.dataverse, self._scene.notes["tokens"]
        wait_until(
            lambda: crm.counts["tokens"] > before and bool(crm.tokens), seconds=180, what="a new token"
        )
        return self

    def _differing(self) -> int:
        """Leads of which a receiver has something else than the log."""
        lines = self._scene.release.psql(_NEWEST).splitlines()
        wanted = {lead: (grade, float(score)) for lead, grade, score in (line.split("|") for line in lines)}
        crm = self._crm
        written = {
            lead: (row["ls_grade"], round(float(row["ls_score"]), 2))
            for lead, row in crm.dataverse.records.items()
            if row
        }
        hooked = {lead: (data["grade"], round(data["score"], 2)) for lead, data in crm.newest.items()}
        return sum(
            abs(found.get(lead, ("", -1.0))[1] - score) > 0.011 or found[lead][0] != grade
            for found in (written, hooked)
            for lead, (grade, score) in wanted.items()
        )
