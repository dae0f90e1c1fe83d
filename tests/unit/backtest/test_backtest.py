"""Backtests: nothing from the future, decay that is seen, and rules that do what their names say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
import typer
from scipy.stats import ks_2samp
from typer.testing import CliRunner

from leadscore.backtest.policy_file import read_policy
from leadscore.backtest.replay import Backtest, replay_stream
from leadscore.backtest.strategies import ByPolicy, EveryDays, Never, PsiAbove
from leadscore.backtest.stream import BacktestStream, prepare_stream
from leadscore.cli.backtest import backtest
from leadscore.contract import dump_contract
from leadscore.data.synthetic import Scenario, generate, synthetic_contract
from leadscore.data.tables import write_table
from leadscore.drift.statistics.distances import half_row_psi, largest_gap
from leadscore.errors import BadInputError, NotFoundError, RefusedError
from leadscore.policy.spec import DriftTrigger, PerformanceTrigger, RetrainRules, Triggers

START = datetime(2025, 1, 1, tzinfo=UTC)
CHANGE = datetime(2025, 7, 1, tzinfo=UTC)
LATEST = datetime(2026, 12, 1, tzinfo=UTC)
RULES = RetrainRules(
    model="leads",
    triggers=Triggers(drift=DriftTrigger(), performance=PerformanceTrigger()),
    data_window="720d",
)


def leads(*scenarios: Scenario):
    return generate(rows=7_000, seed=5, start=START, months=12, scenarios=scenarios, as_of=LATEST)


@pytest.fixture(scope="module")
def changed() -> BacktestStream:
    return prepare_stream(
        synthetic_contract(),
        leads(Scenario("concept_drift", CHANGE, 3.0), Scenario("prior_shift", CHANGE, 2.0)),
    )


@pytest.fixture(scope="module")
def result(changed: BacktestStream) -> Backtest:
    return replay_stream(changed, [Never(), ByPolicy(RULES)], warm_up=4, data_window=timedelta(days=720))


def test_only_outcomes_known_by_then_are_seen(changed: BacktestStream) -> None:
    now = np.datetime64("2025-05-01", "us")
    rows = changed.known_by(now, np.datetime64("2025-02-01", "us"))
    assert len(rows) > 100
    assert (changed.known[rows] < now).all()
    assert (changed.time[rows] >= np.datetime64("2025-02-01", "us")).all()
    # Half of the outcomes take more than two weeks: April's are mostly missing.
    april = changed.time[rows] >= np.datetime64("2025-04-15", "us")
    everyone = (changed.time >= np.datetime64("2025-04-15", "us")) & (changed.time < now)
    assert april.sum() < 0.5 * everyone.sum()


def test_maturity_is_read_from_the_streams_own_label_delay(changed: BacktestStream) -> None:
    days = changed.maturity / np.timedelta64(1, "D")
    assert 40 < days < 65


def test_policy_retrains_after_the_change_and_keeps_more_than_never(result: Backtest) -> None:
    every, never, policy = result.strategies
    assert every.retrainings == result.months - 1
    assert every.kept == 1.0
    assert never.retrainings == 0
    retrained = [m.month for m in policy.months if m.retrained]
    assert retrained
    assert min(retrained) >= "2025-07"
    assert len(retrained) < every.retrainings
    assert policy.mean_auc > never.mean_auc


def test_every_decision_has_a_reason(result: Backtest) -> None:
    assert all(m.reason for m in result.strategies[-1].months)


def test_a_month_says_why_it_waits(result: Backtest) -> None:
    first, *_ = result.strategies[-1].months
    assert re.search(r"not known.*Not judged: (none of the|only)", first.reason), first.reason
    waited = [m for m in result.strategies[-1].months if m.reason.startswith("Nothing asks")]
    assert waited
    assert all("AUC" in m.reason or "conversions" in m.reason for m in waited)
    assert result.strategies[0].months[-1].reason.endswith("nothing comes after the last month.")


def test_a_policy_that_names_its_detectors_decides_as_one_that_takes_any(
    changed: BacktestStream, result: Backtest
) -> None:
    named = Triggers(
        drift=DriftTrigger(detectors=("daily",)), performance=PerformanceTrigger(detectors=("weekly",))
    )
    rules = msgspec.structs.replace(RULES, triggers=named)
    again = replay_stream(changed, [ByPolicy(rules)], warm_up=4, data_window=timedelta(days=720))
    assert again.strategies[-1].months == result.strategies[-1].months


def test_what_cannot_be_trained_is_said_with_what_is_missing(changed: BacktestStream) -> None:
    with pytest.raises(RefusedError, match=r"first model cannot be trained.*known by 2025-02-01.*10 of each"):
        replay_stream(changed, [Never()], warm_up=1, data_window=timedelta(days=2))
    few = replay_stream(changed, [EveryDays()], warm_up=4, data_window=timedelta(days=720))
    assert all(m.retrained for m in few.strategies[0].months[:-1])


def test_policy_does_nothing_on_an_unchanged_stream() -> None:
    calm = prepare_stream(synthetic_contract(), leads())
    found = replay_stream(calm, [ByPolicy(RULES)], warm_up=4, data_window=timedelta(days=720))
    assert found.strategies[-1].retrainings <= 1


def test_a_stream_without_enough_months_is_refused(changed: BacktestStream) -> None:
    with pytest.raises(RefusedError, match="none is left to replay"):
        replay_stream(changed, [], warm_up=12, data_window=timedelta(days=720))


def test_psi_rule_speaks_where_a_feature_is_mangled() -> None:
    broken = prepare_stream(synthetic_contract(), leads(Scenario("pipeline_bug", CHANGE)))
    found = replay_stream(broken, [PsiAbove()], warm_up=4, data_window=timedelta(days=720))
    months = {m.month: m for m in found.strategies[-1].months}
    assert months["2025-07"].alarm
    assert "budget" in months["2025-07"].reason or "minutes" in months["2025-07"].reason


def test_ks_statistic_is_scipys() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 9, 80).astype(np.float32), rng.integers(1, 12, 120).astype(np.float32)
    assert largest_gap(a, b) == pytest.approx(ks_2samp(a, b).statistic)


def test_psi_of_equal_shares_is_nothing_and_of_an_empty_bin_finite() -> None:
    assert half_row_psi(np.array([100, 200]), np.array([50, 100])).sum() == pytest.approx(0.0, abs=1e-4)
    assert np.isfinite(half_row_psi(np.array([100, 0]), np.array([50, 50])).sum())


SPEC = (
    "model: leads\ndataWindow: 720d\ntriggers:\n  performance: {maxDrop: 0.05}\n"
    "  drift: {minSeverity: significant}\n"
)


def test_policy_is_read_as_a_resource_or_as_its_spec(tmp_path: Path) -> None:
    alone, resource = tmp_path / "spec.yaml", tmp_path / "resource.yaml"
    alone.write_text(SPEC)
    indented = "".join(f"  {line}\n" for line in SPEC.splitlines())
    resource.write_text(f"apiVersion: leadscore.dev/v1alpha1\nkind: RetrainPolicy\nspec:\n{indented}")
    assert read_policy(alone) == read_policy(resource) == RULES


def test_what_is_no_policy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with pytest.raises(NotFoundError):
        read_policy(path)
    for text in ("triggers: {}", "model: [", "kind: Pod\nspec: {}"):
        path.write_text(text)
        with pytest.raises(BadInputError):
            read_policy(path)


def test_command_prints_the_strategies_and_draws_them(tmp_path: Path) -> None:
    table, contract, policy = tmp_path / "leads.parquet", tmp_path / "contract.yaml", tmp_path / "policy.yaml"
    write_table(generate(rows=3_000, seed=6, start=START, months=6, as_of=LATEST), table)
    contract.write_text(dump_contract(synthetic_contract()))
    policy.write_text(SPEC)
    app = typer.Typer()
    app.command()(backtest)
    arguments = ["--policy", policy, "--data", table, "--contract", contract, "--warm-up", "4"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--plot", str(tmp_path / "plot.svg")])
    assert done.exit_code == 0, done.output
    assert "every window" in done.output
    assert "<svg" in (tmp_path / "plot.svg").read_text()
