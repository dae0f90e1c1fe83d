"""A CRM that is not there: leads of the synthetic one, sent to a real service, and what became of them.

Time is compressed: a lead whose outcome the synthetic CRM settles after so many days is told about after so
many times `day_seconds`. Everything else is as a CRM does it: one request a lead, again when somebody has
worked on it.
"""

from __future__ import annotations

import heapq
import http.client
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from leadscore.data.synthetic import generate
from leadscore.errors import BadInputError

_log = logging.getLogger(__name__)

_BATCH: Final = 2_000
_TIMEOUT: Final = 10.0
# Of the requests, how many are about a lead that was scored before.
_AGAIN: Final = 0.15
_OPEN_LEADS: Final = 500
_OUTCOME: Final = ("converted", "outcome_known_at", "revenue")
# What grows while sales works on a lead.
_WORKED: Final = ("page_views", "pricing_visits", "emails", "calls", "meetings")


@dataclass(frozen=True, slots=True)
class SimulatedLead:
    """A lead, and what will become of it.

    Attributes:
        body: As the service takes it.
        converted: Whether it will.
        value: Revenue of one that does.
        days: Until that is known.
    """

    body: Mapping[str, Any]
    converted: bool
    value: float | None
    days: float


def simulated_leads(seed: int, now: datetime) -> Iterator[SimulatedLead]:
    """Draw leads without end, as they would come from now on.

    Their ids name the moment, so no two runs share one.

    Args:
        seed: Same seed, same leads.
        now: When the first comes.
    """
    batch = 0
    while True:
        # Long enough ahead that all outcomes are known to the one who made them up.
        far = datetime(now.year + 5, 1, 1, tzinfo=UTC)
        table = generate(rows=_BATCH, seed=seed + batch, start=now, months=1.0, as_of=far)
        for number, row in enumerate(table.to_pylist()):
            settled = row["outcome_known_at"]
            days = (settled - row["created_at"]).total_seconds() / 86_400
            body = {name: value for name, value in row.items() if value is not None and name not in _OUTCOME}
            body["lead_id"] = f"S-{now:%y%m%d%H%M%S}-{batch * _BATCH + number:06d}"
            yield SimulatedLead(body, bool(row["converted"]), row["revenue"], days)
        batch += 1


class SimulatedCrm:
    """Sends leads at a bounded rate, and their outcomes when they are due.

    Args:
        url: Of the service.
        key: API key with the scopes `score` and `outcomes`.
        rate: Requests a second, on average.
        day_seconds: How long a day of a lead's life takes.
        clock: This moment (UTC).
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        rate: float,
        day_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not 0 < rate <= 100 or day_seconds <= 0:
            raise BadInputError(
                f"Nothing can be sent to {url[:100]!r} at {rate:g} requests a second.",
                hint="Give http://HOST:PORT, a rate of at most 100 and a day that takes some time.",
            )
        self._host, self._port = parts.hostname, parts.port or 80
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._rate, self._day_seconds = rate, day_seconds
        self._clock = clock
        self._random = random.Random(7)  # noqa: S311 (nothing is kept secret by it)
        self._due: list[tuple[float, str, SimulatedLead]] = []
        self._open: list[SimulatedLead] = []
        self._fails = False

    def run(self, leads: Iterator[SimulatedLead], go_on: Callable[[float], bool]) -> None:
        """Send until told to stop.

        Args:
            leads: To send, in order.
            go_on: Waits so many seconds, and says whether to go on.
        """
        while go_on(self._random.expovariate(self._rate)):
            again = self._open and self._random.random() < _AGAIN
            lead = self._worked_on() if again else next(leads)
            scored = self._post("/score-lead?reasons=0", {**lead.body, "created_at": self._clock()})
            if scored and not again:
                due = time.monotonic() + lead.days * self._day_seconds
                lead_id = str(lead.body["lead_id"])
                heapq.heappush(self._due, (due, lead_id, lead))
                self._open.append(lead)
                del self._open[:-_OPEN_LEADS]
            self._tell_outcomes()

    def _worked_on(self) -> SimulatedLead:
        """One of the leads that are open, after somebody has worked on it."""
        place = self._random.randrange(len(self._open))
        lead = self._open[place]
        body = dict(lead.body)
        for name in _WORKED:
            if isinstance(body.get(name), int | float) and self._random.random() < 0.6:
                body[name] += self._random.randint(1, 3)
        self._open[place] = SimulatedLead(body, lead.converted, lead.value, lead.days)
        return self._open[place]

    def _tell_outcomes(self) -> None:
        told: list[dict[str, Any]] = []
        while self._due and self._due[0][0] <= time.monotonic() and len(told) < 100:
            _, lead_id, lead = heapq.heappop(self._due)
            outcome: dict[str, Any] = {
                "lead_id": lead_id,
                "converted": lead.converted,
                "occurred_at": self._clock(),
            }
            if lead.converted and lead.value is not None:
                outcome["value"] = lead.value
            told.append(outcome)
        if told:
            gone = {outcome["lead_id"] for outcome in told}
            self._open = [lead for lead in self._open if lead.body["lead_id"] not in gone]
            self._post("/outcomes", told)

    def _post(self, path: str, body: object) -> bool:
        """Whether the service took it; if not, that is said once until it goes well again."""
        try:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
            try:
                connection.request("POST", path, msgspec.json.encode(body), self._headers)
                reply = connection.getresponse()
                document = reply.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            self._failed(f"{type(error).__name__}: {error}")
            return False
        if reply.status >= 300:
            self._failed(f"{reply.status} {document[:300].decode('utf-8', 'replace')}")
            return False
        self._fails = False
        return True

    def _failed(self, why: str) -> None:
        if not self._fails:
            _log.warning("the service did not take it", extra={"fields": {"why": why}})
        self._fails = True
