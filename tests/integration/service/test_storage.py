"""Full spools and absent stores: scoring refuses or goes on as configured, and says so."""

from __future__ import annotations

import httpx
from tests.support.waiting import wait_until

from leadscore.events.store import EventStore

JSON = {"content-type": "application/json"}


def score(served, body: bytes) -> httpx.Response:
    return httpx.post(f"{served.url}/score-lead", content=body, headers=JSON)


def test_a_store_that_is_down_at_the_start_holds_nobody_up(serve, tmp_path, lead_body) -> None:
    home = tmp_path / "home"
    home.mkdir()
    store = home / "later"
    store.write_text("a file where a folder is needed")
    served = serve(LEADSCORE_EVENTS_URL=f"sqlite:///{store / 'events.db'}")
    ids = sorted(score(served, lead_body).json()["prediction_id"] for _ in range(20))
    wait_until(lambda: served.metric("leadscore_spool_bytes") > 1000, what="the spool")
    assert served.metric("leadscore_shipper_up") == 0
    store.unlink()
    store.mkdir()
    (home / "events.db").symlink_to(store / "events.db")
    wait_until(lambda: served.stored() == ids, what="shipping")
    wait_until(lambda: served.metric("leadscore_shipper_up") == 1, what="a healthy shipper")


def test_a_full_spool_refuses_and_recovers_when_it_is_shipped(serve, lead_body) -> None:
    small = {"LEADSCORE_SPOOL_MAX_BYTES": "4096", "LEADSCORE_SPOOL_SEGMENT_BYTES": "1024"}
    served = serve(LEADSCORE_SHIPPER="off", **small)
    replies = [score(served, lead_body) for _ in range(60)]
    acknowledged = sorted(r.json()["prediction_id"] for r in replies if r.status_code == 200)
    refused = [r for r in replies if r.status_code != 200]
    assert acknowledged
    assert {r.status_code for r in refused} == {503}
    assert all("retry-after" in r.headers for r in refused)
    assert served.metric("leadscore_spool_refused_total") == len(refused)
    served.stop()
    shipped = serve(**small)
    wait_until(lambda: served.stored() == acknowledged, what="shipping")
    wait_until(lambda: score(shipped, lead_body).status_code == 200, what="room on the spool")


def test_a_full_spool_drops_predictions_when_told_to_and_counts_them(serve, lead_body) -> None:
    served = serve(
        LEADSCORE_SHIPPER="off",
        LEADSCORE_SPOOL_ON_FULL="drop",
        LEADSCORE_SPOOL_MAX_BYTES="4096",
        LEADSCORE_SPOOL_SEGMENT_BYTES="1024",
    )
    assert {score(served, lead_body).status_code for _ in range(60)} == {200}
    assert served.metric("leadscore_spool_dropped_total") > 0


def test_outcomes_join_the_store_once_however_often_they_are_sent(serve, lead_body) -> None:
    served = serve()
    prediction = score(served, lead_body).json()
    outcome = {
        "lead_id": prediction["lead_id"],
        "prediction_id": prediction["prediction_id"],
        "converted": True,
    }
    ids = {tuple(httpx.post(f"{served.url}/outcomes", json=outcome).json()["outcome_ids"]) for _ in range(3)}
    ((outcome_id,),) = ids
    wait_until(lambda: served.stored("outcomes", "outcome_id") == [outcome_id], what="shipping")


def test_a_lead_that_was_won_lost_and_won_again_is_won(serve) -> None:
    served = serve()

    def tell(converted: bool) -> None:
        sent = {"lead_id": "L-back", "converted": converted}
        assert httpx.post(f"{served.url}/outcomes", json=sent).status_code == 202

    for converted in (True, True, False, True, True):
        tell(converted)
    wait_until(lambda: len(served.stored("outcomes", "outcome_id")) >= 3, what="shipping")
    served.stop()
    with EventStore(f"sqlite:///{served.home / 'events.db'}") as store:
        history = store.outcomes_of("L-back")
    assert [each.converted for each in reversed(history)] == [True, False, True]
