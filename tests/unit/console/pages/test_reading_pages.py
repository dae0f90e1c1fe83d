"""Pages over a store: what they say when all is well, when nothing is known, and when names are hostile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import plotly.io
import pytest
from dash import dcc, html
from dash.development.base_component import Component
from tests.support.artefacts import build_artefact, sample_contract
from tests.support.console import PERSON, settings
from tests.support.events import prediction
from tests.support.rollups import ScoredLead, fill_rollups, random_leads

from leadscore.console.building import PageBuilder, known_at
from leadscore.console.metrics import ConsoleMetrics
from leadscore.console.numbers import value_text
from leadscore.console.page import ConsolePage, PageContent, PageRequest
from leadscore.console.page_tables import exported_tables
from leadscore.console.pages import business, drift, fairness, live, model, overview
from leadscore.contract import Categorical, FeatureContract
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.monitoring.queries.ranges import moment_us
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home

NOW = datetime(2026, 11, 29, 12, 20, tzinfo=UTC)
PAGES = (overview.PAGE, business.PAGE, live.PAGE, drift.PAGE, model.PAGE, fairness.PAGE)
IDS = [page.title for page in PAGES]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A registry with version 1, whose country is sensitive."""
    folder = tmp_path_factory.mktemp("home")
    found = Home.from_environment({"LEADSCORE_HOME": str(folder)})
    ModelRegistry(found).publish(build_artefact(folder / "a", name="leads", contract=_contract()), "leads")
    return found


@pytest.fixture
def store(home: Home) -> Iterator[EventStore]:
    path = Path(home.events_url.removeprefix("sqlite:///"))
    for file in path.parent.glob("events.db*"):
        file.unlink()
    with EventStore(home.events_url) as opened:
        yield opened


def _contract() -> FeatureContract:
    contract = sample_contract()
    features = tuple(
        Categorical(name="country", categories=f.categories, description="Country", sensitive=True)
        if f.name == "country"
        else f
        for f in contract.features
    )
    return FeatureContract(
        name=contract.name,
        id=contract.id,
        time=contract.time,
        target=contract.target,
        value="revenue",
        currency="EUR",
        features=features,
    )


def asked(page: ConsolePage, store: EventStore, home: Home, **given: str) -> PageRequest:
    builder = PageBuilder(
        settings(home.root), store, Approvers(home.api_keys), ConsoleMetrics(), clock=lambda: NOW
    )
    return replace(builder.request(page, given, PERSON), now=NOW)


def shown(page: ConsolePage, store: EventStore, home: Home, **given: str) -> PageContent:
    return page.build(asked(page, store, home, **given))


def leads(n: int = 1_500, days: float = 170.0, **changes: object) -> list[ScoredLead]:
    found = random_leads(NOW - timedelta(days=days), days - 0.01, n, seed=3, versions=("1", "2", "10"))
    return [replace(lead, **changes) for lead in found] if changes else found  # type: ignore[arg-type]


def parts(component: object) -> Iterator[Component]:
    if isinstance(component, Component):
        yield component
        yield from parts(getattr(component, "children", None))
    elif isinstance(component, list | tuple):
        for child in component:
            yield from parts(child)


def text(content: PageContent) -> str:
    """Every text node."""

    def walk(component: object) -> Iterator[str]:
        if isinstance(component, str):
            yield component
        elif isinstance(component, Component):
            yield from walk(getattr(component, "children", None))
        elif isinstance(component, list | tuple):
            for child in component:
                yield from walk(child)

    return "\n".join(walk(list(content.body)))


def charts(content: PageContent) -> list[dict[str, object]]:
    return [
        json.loads(plotly.io.to_json(part.figure))
        for part in parts(list(content.body))
        if isinstance(part, dcc.Graph)
    ]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_nothing_counted_is_never_good(page: ConsolePage, store: EventStore, home: Home) -> None:
    content = shown(page, store, home)
    # The Overview of a new installation says what to do first.
    assert content.verdict.level == ("info" if page is overview.PAGE else "unknown")
    assert all(tile.measure.value is None or tile.measure.value == 0 for tile in content.tiles)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_old_counts_are_never_good(page: ConsolePage, store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(), model="leads", caught_up=NOW - timedelta(hours=3))
    content = known_at(shown(page, store, home), NOW)
    assert content.verdict.level not in {"good", "info"}
    assert {tile.level for tile in content.tiles} <= {None, "unknown", "warning", "critical"}
    assert content.as_of == NOW - timedelta(hours=3)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_three_versions_at_once_are_told_apart(page: ConsolePage, store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(n=3_000), model="leads", caught_up=NOW)
    # Drift and fairness are of one version, here of the one that the registry has.
    given = {"version": "1"} if page in {drift.PAGE, fairness.PAGE} else {}
    content = shown(page, store, home, range="90d", **given)
    assert content.verdict.sentence.endswith(".")
    assert len(content.tiles) <= 7
    assert content.as_of == NOW
    assert len(charts(content)) >= 1


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_range_of_years_has_few_points(page: ConsolePage, store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(n=2_000, days=1_100), model="leads", caught_up=NOW)
    content = shown(page, store, home, since="2023-11-29", until="2026-11-29")
    for chart in charts(content):
        for trace in chart["data"]:  # type: ignore[attr-defined]
            assert len(trace["x"]) <= 340


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_range_before_the_first_lead_is_a_page(page: ConsolePage, store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(n=200, days=20), model="leads", caught_up=NOW)
    content = shown(page, store, home, since="2020-01-01", until="2020-01-02")
    assert content.verdict.level in {"unknown", "warning"}


@pytest.mark.parametrize("page", [business.PAGE, model.PAGE, overview.PAGE], ids=lambda p: p.title)
def test_without_outcomes_nothing_is_said_of_them(page: ConsolePage, store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(converted=None, value=None), model="leads", caught_up=NOW)
    content = shown(page, store, home)
    assert content.verdict.level != "good"
    unknown = [tile for tile in content.tiles if tile.measure.value is None]
    assert unknown
    assert all(tile.measure.unknown for tile in unknown)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_html_in_names_is_text(page: ConsolePage, store: EventStore, home: Home) -> None:
    hostile = '<img src=x onerror="alert(1)">'
    found = leads(n=1_500, version=hostile, source=hostile)
    fill_rollups(store, found, model="leads", caught_up=NOW)
    content = shown(page, store, home)
    # Dash writes children as text nodes; a chart would read its texts as HTML.
    assert all("<img" not in json.dumps(chart) for chart in charts(content))
    assert not [part for part in parts(list(content.body)) if "Markdown" in type(part).__name__]


def test_a_version_that_the_registry_lacks_is_said_so(store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(version="99"), model="leads", caught_up=NOW)
    content = shown(drift.PAGE, store, home)
    assert content.verdict.level == "unknown"
    assert "leads/99" in text(content)


def test_drift_is_of_the_version_with_most_leads(store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(n=2_500, version="1"), model="leads", caught_up=NOW)
    content = shown(drift.PAGE, store, home, range="90d")
    assert "country" in text(content)
    assert content.tiles[0].measure.n > 100


def test_groups_of_a_sensitive_attribute_are_compared(store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(n=3_000, version="1"), model="leads", caught_up=NOW)
    content = shown(fairness.PAGE, store, home)
    assert content.tiles[0].label == "Selection ratio by country"
    assert content.tiles[0].measure.value is not None
    assert "as often as those of" in content.verdict.sentence


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_file_holds_every_row_of_every_table_under_columns_with_units(
    page: ConsolePage, store: EventStore, home: Home
) -> None:
    fill_rollups(store, leads(n=3_000, version="1"), model="leads", caught_up=NOW)
    content = shown(page, store, home)
    file = exported_tables("file", content)
    rows = list(file.rows)
    tables = [part for part in parts(list(content.body)) if isinstance(part, html.Table)]
    assert len(rows) == sum(len(table.children[2].children) for table in tables) > 0
    assert {row[0] for row in rows} == {table.children[0].children for table in tables}
    assert {len(row) for row in rows} == {len(file.header)}
    numbers = [cell for row in rows for cell in row if isinstance(cell, int | float)]
    assert numbers
    shares = [place for place, name in enumerate(file.header) if name.endswith("(share of 1)")]
    for row in rows:
        for place in shares:
            assert row[place] is None or 0 <= row[place] <= 1  # type: ignore[operator]
    assert not any(name.endswith("(money)") for name in file.header)


def test_a_filter_that_a_page_does_not_show_does_not_narrow_it(store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(n=300, days=0.9), model="leads", caught_up=NOW)
    every, narrowed = shown(live.PAGE, store, home), shown(live.PAGE, store, home, version="7")
    assert narrowed.tiles == every.tiles
    assert narrowed.verdict == every.verdict
    assert every.verdict.level != "warning"


@pytest.mark.parametrize("page", [overview.PAGE, live.PAGE], ids=["Overview", "Live"])
def test_a_silence_that_the_traffic_before_does_not_explain_is_said(
    page: ConsolePage, store: EventStore, home: Home
) -> None:
    start = NOW - timedelta(hours=6)
    steady = [
        replace(lead, at=start + timedelta(minutes=n), role="champion", source="api")
        for n, lead in enumerate(random_leads(start, 0.2, 300, seed=3, versions=("1",)))
    ]
    newest = steady[-1].at
    fill_rollups(store, steady, model="leads", caught_up=NOW)
    # Only the newest moment is read from the log; an older one's place is no matter.
    store.append([prediction("p", model_name="leads", scored_at=moment_us(newest))], [])
    content = shown(page, store, home)
    assert content.verdict.level == "unknown"
    assert "Nothing was scored for 61 minutes" in content.verdict.sentence + text(content)
    earlier = newest + timedelta(minutes=10)
    request = replace(asked(page, store, home), now=earlier, until=earlier)
    assert "Nothing was scored for" not in live.live_verdict(live._read(request), request).sentence


@pytest.mark.parametrize("page", [overview.PAGE, business.PAGE], ids=["Overview", "Business"])
def test_revenue_is_in_the_contracts_currency(page: ConsolePage, store: EventStore, home: Home) -> None:
    fill_rollups(store, leads(n=3_000, version="1"), model="leads", caught_up=NOW)
    revenue = next(tile for tile in shown(page, store, home).tiles if tile.label == "Revenue per lead")
    assert value_text(revenue.measure.value, revenue.unit).startswith("EUR\u00a0")


@pytest.mark.parametrize("page", [overview.PAGE, business.PAGE], ids=["Overview", "Business"])
def test_revenue_of_a_version_that_is_not_known_has_no_currency(
    page: ConsolePage, store: EventStore, home: Home
) -> None:
    fill_rollups(store, leads(n=3_000, version="99"), model="leads", caught_up=NOW)
    revenue = next(tile for tile in shown(page, store, home).tiles if tile.label == "Revenue per lead")
    assert value_text(revenue.measure.value, revenue.unit)[0].isdigit()


def test_features_that_say_when_a_lead_came_are_counted_and_not_compared(
    store: EventStore, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_rollups(store, leads(n=2_500, version="1"), model="leads", caught_up=NOW)
    before = drift._read(asked(drift.PAGE, store, home, range="90d"))
    assert not any(feature.clock for feature in before.features)
    # Whatever a rules file calls so is left out here as in alerts and metrics.
    (tmp_path / "rules.yaml").write_text(
        "rules: [{alert: LeadScoringFeatureDrift, without: [country]}]", encoding="utf-8"
    )
    monkeypatch.setenv("LEADSCORE_ALERT_RULES", str(tmp_path / "rules.yaml"))
    content = shown(drift.PAGE, store, home, range="90d")
    after = drift._read(asked(drift.PAGE, store, home, range="90d"))
    country = next(feature for feature in after.features if feature.name == "country")
    assert (country.clock, country.psi.value, country.severity) == (True, None, None)
    assert sum(country.window) > 0
    assert "country" not in {line.name for line in after.series}
    assert "without country: when a lead came" in next(
        tile.note for tile in content.tiles if tile.label == "Features with a change"
    )
