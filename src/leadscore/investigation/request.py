"""What is to be investigated, and with which span of time it is compared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from leadscore.errors import BadInputError
from leadscore.monitoring.queries.ranges import MATURITY, HourRange

_WEEK: Final = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class LeadSegment:
    """The leads whose feature has one value.

    Attributes:
        feature: Name in the contract.
        value: Category, or `yes` or `no`.
    """

    feature: str
    value: str

    def __str__(self) -> str:
        return f"{self.feature}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvestigationRequest:
    """What is asked.

    Attributes:
        model: Registered name of the model.
        time: The span that the complaint is about, in whole hours.
        asked_at: When it is asked.
        maturity: Age at which the outcome of a lead should be known.
        segment: Only these leads are complained about; None: all.
        lead_id: The lead that is complained about; None: no single one.
    """

    model: str
    time: HourRange
    asked_at: datetime
    maturity: timedelta = MATURITY
    segment: LeadSegment | None = None
    lead_id: str | None = None

    @property
    def before(self) -> HourRange:
        """The span that it is compared with: as long, earlier by whole weeks, so that weekdays agree."""
        shift = -(-self.time.length // _WEEK) * _WEEK
        return HourRange(self.time.start - shift, self.time.end - shift)


def parse_segment(text: str) -> LeadSegment:
    """Read `feature=value`.

    Raises:
        BadInputError: Not of that form.
    """
    feature, equals, value = text.partition("=")
    if not (feature.strip() and equals and value.strip()):
        raise BadInputError(
            f"{text[:80]!r} is not a segment.", hint="Write the field and its value: country=DE."
        )
    return LeadSegment(feature.strip(), value.strip())
