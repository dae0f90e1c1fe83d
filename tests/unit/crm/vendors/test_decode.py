"""What a CRM answers becomes a verdict for each record, whatever it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.crm.updates import ScoreUpdate
from leadscore.crm.vendors.dynamics import DynamicsVendor
from leadscore.crm.vendors.hubspot import HubSpotVendor
from leadscore.crm.vendors.protocol import CrmVendor, VendorReply
from leadscore.crm.vendors.salesforce import SalesforceVendor

FIELDS = {"score": "Score"}
SALESFORCE, HUBSPOT = SalesforceVendor("Lead", FIELDS), HubSpotVendor("contacts", FIELDS)
DYNAMICS = DynamicsVendor("lead", FIELDS, "https://org.example")
IDS = {
    "SalesforceVendor": ["00Q000000000001EAA", "00Q000000000002EAA", "00Q000000000003EAA"],
    "HubSpotVendor": ["1", "2", "3"],
    "DynamicsVendor": [f"{n:08x}-0000-0000-0000-000000000000" for n in (1, 2, 3)],
}
VENDORS = pytest.mark.parametrize("vendor", [SALESFORCE, HUBSPOT, DYNAMICS], ids=list(IDS))
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["1", "OBJECT_NOT_FOUND"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "results", "errors", "context", "ids", "success", "error", "message", "statusCode"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def updates(vendor: CrmVendor, count: int = 3) -> list[ScoreUpdate]:
    return [
        ScoreUpdate(
            lead_id=name, prediction_id="p", model_name="m", model_version="1", probability=0.5, score=50.0,
            grade="B", reasons=(), scored_at=1,
        )
        for name in IDS[type(vendor).__name__][:count]
    ]  # fmt: skip


def answer(status: int, document: Any = None, **headers: str) -> VendorReply:
    body = b"" if document is None else json.dumps(document).encode()
    return VendorReply(status, {k.replace("_", "-"): v for k, v in headers.items()}, body, 0.0)


def kinds(vendor: CrmVendor, reply: VendorReply, count: int = 3) -> list[str]:
    return [verdict.kind for verdict in vendor.decode(updates(vendor, count), reply)]


@VENDORS
@given(status=st.integers(100, 599), document=_JSON, body=st.binary(max_size=40), is_json=st.booleans())
def test_each_record_has_one_verdict_whatever_comes(
    vendor: CrmVendor, status: int, document: object, body: bytes, is_json: bool
) -> None:
    reply = VendorReply(status, {}, json.dumps(document).encode() if is_json else body)
    verdicts = vendor.decode(updates(vendor), reply)
    assert len(verdicts) == 3
    assert all(verdict.why for verdict in verdicts if verdict.kind != "written")
    if not 200 <= status < 300:
        assert all(verdict.kind != "written" for verdict in verdicts)


@VENDORS
@pytest.mark.parametrize("status", [301, 302, 401, 403, 408, 425, 429, 500, 502, 503, 504])
def test_what_is_no_fault_of_the_records_costs_none_of_them(vendor: CrmVendor, status: int) -> None:
    assert set(kinds(vendor, answer(status))) == {"again"}


@VENDORS
def test_a_pause_that_is_asked_for_is_kept(vendor: CrmVendor) -> None:
    seconds = [v.retry_after for v in vendor.decode(updates(vendor), answer(429, retry_after="17"))]
    assert seconds == [17.0] * 3
    at = "Thu, 01 Jan 1970 00:00:20 GMT"
    assert [v.retry_after for v in vendor.decode(updates(vendor), answer(503, retry_after=at))] == [20.0] * 3


def test_a_success_of_somebody_else_is_none_of_ours() -> None:
    stranger = [{"id": "00Q000000000009EAA", "success": True, "errors": []}]
    assert kinds(SALESFORCE, answer(200, stranger * 3)) == ["split"] * 3
    assert kinds(HUBSPOT, answer(200, {"results": [{"id": "9"}]})) == ["split"] * 3
    assert kinds(SALESFORCE, answer(200, [])) == ["split"] * 3


def test_a_failure_without_an_id_counts_for_its_place_only_if_all_others_are_in_theirs() -> None:
    one, two, three = IDS["SalesforceVendor"]
    failed = {
        "success": False,
        "errors": [{"statusCode": "ENTITY_IS_DELETED", "message": "entity is deleted"}],
    }
    written = [{"id": name, "success": True, "errors": []} for name in (one, three)]
    assert kinds(SALESFORCE, answer(200, [written[0], failed, written[1]])) == [
        "written",
        "refused",
        "written",
    ]
    assert kinds(SALESFORCE, answer(200, [written[1], failed, written[0]])) == ["written", "split", "written"]
    assert kinds(SALESFORCE, answer(200, [written[0], failed])) == ["written", "split", "split"]
    del two


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UNABLE_TO_LOCK_ROW", "again"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "again"),
        ("REQUEST_LIMIT_EXCEEDED", "again"),
        ("INVALID_CROSS_REFERENCE_KEY", "refused"),
        ("CANNOT_UPDATE_CONVERTED_LEAD", "refused"),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "refused"),
        ("STRING_TOO_LONG", "refused"),
    ],
)
def test_codes_of_salesforce_say_whose_fault_it_is(code: str, kind: str) -> None:
    failed = {"success": False, "errors": [{"statusCode": code, "message": "m", "fields": []}]}
    assert kinds(SALESFORCE, answer(200, [failed]), 1) == [kind]


def test_limits_of_a_day_are_left_to_others() -> None:
    assert SALESFORCE.pause(answer(200, None, sforce_limit_info="api-usage=18/5000")) is None
    near = SALESFORCE.pause(answer(200, None, sforce_limit_info="api-usage=4500/5000"))
    assert near is not None
    assert "4500 of the org's 5000" in near.why
    day = {"x_hubspot_ratelimit_daily": "250000", "x_hubspot_ratelimit_daily_remaining": "25000"}
    assert HUBSPOT.pause(answer(200, None, **day)) is not None
    assert HUBSPOT.pause(answer(200, None, x_hubspot_ratelimit_remaining="50")) is None
    work = {"x_ms_ratelimit_time_remaining_xrm_requests": "1,180.25"}
    assert DYNAMICS.pause(answer(204, None, **work)) is None
    assert DYNAMICS.pause(answer(204, None, x_ms_ratelimit_burst_remaining_xrm_requests="12")) is not None


def test_the_next_page_is_asked_for_at_the_same_address_only() -> None:
    from leadscore.crm.vendors.protocol import OutcomeFields

    source = OutcomeFields("o", "l", "s", frozenset("w"), frozenset("x"), "", "", "m", "k")
    elsewhere = "https://evil.example/api/data/v9.2/o?$skiptoken=1"
    assert DYNAMICS.decode_deals(source, answer(200, {"value": [], "@odata.nextLink": elsewhere}))[1] == ""
    here = "https://org.example/api/data/v9.2/o?$skiptoken=1"
    page = DYNAMICS.decode_deals(source, answer(200, {"value": [], "@odata.nextLink": here}))[1]
    assert page == "/api/data/v9.2/o?$skiptoken=1"
    page = SALESFORCE.decode_deals(source, answer(200, {"records": [], "nextRecordsUrl": elsewhere}))[1]
    assert page == ""


def test_our_own_pace_never_makes_us_wait_for_what_is_left_to_others() -> None:
    moments = [n * HUBSPOT.pace_seconds for n in range(300)]
    for now in moments:
        left = 100 - sum(now - 10.0 <= moment <= now for moment in moments)
        said = answer(200, None, x_hubspot_ratelimit_remaining=str(left))
        assert HUBSPOT.pause(said) is None, f"{left} left after {now:.1f} s"
