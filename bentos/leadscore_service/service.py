"""The BentoML service, started by `bentoml serve leadscore_service.service:LeadScoring`.

Supervised, it is started by `leadscore serve`.

The methods below describe the endpoints to BentoML (`bentoml build`, the bento's description). Requests are
answered by `leadscore_service.app.Application`, which stands in front of them.
"""

from __future__ import annotations

import os

import bentoml

from leadscore_service.app import Application
from leadscore_service.http import AsgiApp
from leadscore_service.orphan import end_with_supervisor
from leadscore_service.server_adapter import install, is_first_worker

# BentoML reports usage to its maker unless told otherwise; a service that holds people's data does not.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")


# Before uvicorn's configuration is made, which takes the protocol.
install()
end_with_supervisor()


def _in_front(app: AsgiApp) -> Application:
    """The application of this worker; the first of several watches the shipper."""
    return Application(app, first=is_first_worker())


@bentoml.service(
    name="lead_scoring",
    # One process per core, set by whoever knows the pod's limit; threads are for bulk requests, not for
    # requests at once: the event loop answers those.
    workers=int(os.environ.get("LEADSCORE_WORKERS") or 1),
    threads=1,
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    http={"cors": {"enabled": False}},
)
class LeadScoring:
    """Scores leads of one feature contract: how likely each is to convert, and why."""

    @bentoml.api(route="/score-lead")
    def score_lead(self, lead: dict[str, object]) -> dict[str, object]:
        """Score one lead; `?reasons=N` adds the N most important factors."""
        raise _answered_in_front("score_lead", lead)

    @bentoml.api(route="/score-leads")
    def score_leads(self, leads: list[dict[str, object]]) -> dict[str, object]:
        """Score up to 10,000 leads, JSON or Arrow, all or none."""
        raise _answered_in_front("score_leads", leads)

    @bentoml.api(route="/explain-prediction")
    def explain_prediction(self, lead: dict[str, object], method: str = "shap") -> dict[str, object]:
        """Say why a lead gets its score: exact Shapley values, or LIME."""
        raise _answered_in_front("explain_prediction", lead, method)

    @bentoml.api(route="/outcomes")
    def take_outcomes(self, outcomes: list[dict[str, object]]) -> dict[str, object]:
        """Take what became of leads."""
        raise _answered_in_front("take_outcomes", outcomes)


def _answered_in_front(name: str, *arguments: object) -> NotImplementedError:
    return NotImplementedError(
        f"{name} with {len(arguments)} argument(s) is answered by "
        "leadscore_service.app.Application, over HTTP."
    )


# Any callable will do; BentoML's protocol describes the class's instances instead.
LeadScoring.add_asgi_middleware(_in_front)  # pyright: ignore[reportArgumentType]
