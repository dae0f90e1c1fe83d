"""What a CRM says of itself: fields that are mapped, and what its records hold."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.crm_world import FIELDS, SCORED_AT, CrmWorld, record_id

from leadscore.crm.vendors.answers import VendorRefusedError
from leadscore.crm.vendors.connect import connect
from leadscore.crm.vendors.link import CrmCredentialsError, CrmUnreachableError
from leadscore.crm.vendors.reading import check_mapping, read_back
from leadscore.errors import BadInputError


def test_a_good_mapping_has_nothing_wrong(world: CrmWorld) -> None:
    assert check_mapping(world.link) == ()


def test_a_mapping_is_told_what_is_wrong_with_each_field(world: CrmWorld) -> None:
    fields = FIELDS[world.kind]
    other = {"salesforce": "IsConverted", "hubspot": "lifecyclestage", "dynamics": "statecode"}[world.kind]
    target = msgspec.structs.replace(world.target, fields={**fields, "model_name": other})
    world.crm.missing_fields = {fields["score"]}
    world.crm.read_only_fields = {fields["grade"]}
    missing, read_only, kind = check_mapping(connect(target))
    assert f"has no field {fields['score']}: create it" in missing
    assert f"{fields['grade']} of" in read_only
    assert "read-only" in read_only
    assert f"{other} is of the type" in kind


def test_an_object_that_is_not_there_is_said(world: CrmWorld) -> None:
    target = msgspec.structs.replace(world.target, object="nothing")
    with pytest.raises(VendorRefusedError, match="did not describe nothing"):
        check_mapping(connect(target))


def test_records_are_read_back_as_they_are(world: CrmWorld) -> None:
    world.add_leads(450)
    world.put(range(450))
    world.deliver()
    gone = record_id(world.kind, 449)
    del world.crm.records[gone]
    names = [record_id(world.kind, n) for n in range(450)]
    found = read_back(world.link, [*names, "jo@example.com"])
    assert found[gone] is found["jo@example.com"] is None
    state = found[names[7]]
    assert state is not None
    assert (state.score, state.grade) == (25.5, "B")
    assert state.prediction_id == f"p-{names[7]}-0"
    assert state.scored_at == SCORED_AT
    world.add_leads(1)
    empty = read_back(world.link, names[:1])[names[0]]
    assert empty is not None
    assert (empty.score, empty.prediction_id, empty.scored_at) == (None, None, None)


def test_credentials_that_are_missing_or_refused_say_where_they_are(world: CrmWorld) -> None:
    world.crm.secret = "other"
    world.crm.tokens.clear()
    with pytest.raises(CrmCredentialsError, match=str(world.folder)):
        check_mapping(world.link)
    for path in world.folder.iterdir():
        path.unlink()
    with pytest.raises(BadInputError, match="have no `"):
        check_mapping(world.link)
    world.folder.rmdir()
    with pytest.raises(CrmCredentialsError, match="cannot be read"):
        check_mapping(world.link)


def test_a_crm_that_is_away_is_said(world: CrmWorld) -> None:
    world.crm.__exit__(None, None, None)
    with pytest.raises(CrmUnreachableError, match="no connection"):
        check_mapping(world.link)


@pytest.mark.parametrize(
    "url", ["http://crm.example", "ftp://crm.example", "https://", "https://a@b.example"]
)
def test_a_token_is_sent_to_no_address_in_the_clear(world: CrmWorld, url: str) -> None:
    with pytest.raises(BadInputError, match="no https:// address"):
        connect(msgspec.structs.replace(world.target, url=url))


@pytest.mark.parametrize("name", ["Score FROM User", "a/b", "x'y", ""])
def test_a_name_that_is_none_never_becomes_part_of_a_query(world: CrmWorld, name: str) -> None:
    with pytest.raises(BadInputError, match="no name of an object or field"):
        connect(msgspec.structs.replace(world.target, fields={"score": name}))
