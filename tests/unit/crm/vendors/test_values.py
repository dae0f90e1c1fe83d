"""Values as CRMs write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.crm.vendors.dynamics import DynamicsVendor
from leadscore.crm.vendors.hubspot import HubSpotVendor
from leadscore.crm.vendors.salesforce import SalesforceVendor
from leadscore.crm.vendors.values import NO_REASONS, iso_time, read_amount, read_moment, reasons_text
from leadscore.errors import BadInputError

SECOND = 1_000_000


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_is_read_as_it_was_written(milliseconds: int) -> None:
    assert read_moment(iso_time(milliseconds * 1_000)) == milliseconds * 1_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-30T02:35:00.000+0000", 1_796_006_100),
        ("2026-11-30T02:35:00Z", 1_796_006_100),
        ("2026-11-30T03:35:00+01:00", 1_796_006_100),
        ("1796006100000", 1_796_006_100),
        (1_796_006_100_000, 1_796_006_100),
        ("2026-11-30", 1_796_083_199),
        ("", None),
        ("soon", None),
        (None, None),
        (True, None),
        (["x"], None),
    ],
)
def test_times_of_each_vendor_are_read(text: object, seconds: int | None) -> None:
    assert read_moment(text) == (None if seconds is None else seconds * SECOND)


@pytest.mark.parametrize(
    ("text", "number"), [("12.5", 12.5), (3, 3.0), ("", None), ("NaN", None), (None, None), (True, None)]
)
def test_amounts_of_each_vendor_are_read(text: object, number: float | None) -> None:
    assert read_amount(text) == number


def test_reasons_are_whole_lines_and_never_nothing() -> None:
    assert reasons_text(("One.", "Two.")) == "One.\nTwo."
    assert reasons_text(()) == NO_REASONS
    assert reasons_text(("a" * 600, "b" * 600)) == "a" * 600
    assert len(reasons_text(("a" * 5_000,))) == 1_000


def test_an_id_of_salesforce_has_one_spelling() -> None:
    vendor = SalesforceVendor("Lead", {"score": "Score__c"})
    # Salesforce's own example of the two lengths.
    assert SalesforceVendor("Custom__c", {}).record_key("0013000000MHQkK")[:15] == "0013000000MHQkK"
    short = "00Q5e00000AbCdE"
    whole = vendor.record_key(short)
    assert len(whole) == 18
    assert vendor.record_key(whole) == vendor.record_key(whole[:15] + whole[15:].lower()) == whole
    with pytest.raises(BadInputError, match="do not fit"):
        vendor.record_key(short.lower().replace("00q", "00Q") + whole[15:])
    for bad in ("0035e00000AbCdE", "00Q5e00000AbCd", "00Q5e00000AbC'E", "jo@example.com"):
        with pytest.raises(BadInputError):
            vendor.record_key(bad)


@given(st.text(max_size=20))
def test_what_is_no_id_is_refused_and_never_breaks(text: str) -> None:
    for vendor in (
        SalesforceVendor("Lead", {}), HubSpotVendor("contacts", {}), DynamicsVendor("lead", {}, "https://x"),
    ):  # fmt: skip
        try:
            key = vendor.record_key(text)
        except BadInputError:
            continue
        assert vendor.record_key(key) == key
        assert key.replace("-", "").isascii()
        assert key.replace("-", "").isalnum()
