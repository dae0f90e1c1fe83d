"""E-detector of leads and of their outcomes, which come late and out of order.

A change that begins with some lead concerns the outcomes of the leads from it on, not the outcomes that
become known from then on: for weeks most of those are of leads from before, and say that nothing has changed.
So evidence is kept by when a lead *arrived*. For every block of leads nu that the change may have begun with,
the product of the likelihood ratios of all leads since then is a martingale while nothing changes, whatever
is known of whom and when; the sum over nu is the Shiryaev-Roberts e-detector (Shin, Ramdas & Rinaldo 2023),
here with factors that arrive after their turn.

Two kinds of evidence of a lead make one product:

- On arrival, its score. Label shift (Saerens, Latinne & Decaestecker 2002; Lipton, Wang & Smola
  2018) reweighs leads by (pi' / pi) p(x) + (1 - pi') / (1 - pi) (1 - p(x)): all that the features
  say of the conversion rate is linear in the score, so the bet is fair whatever the scores'
  distribution, as long as their mean is the reference's.
- With its outcome, the likelihood ratio of the outcome given the score. Under label shift the log-odds move
  by a constant.

Wins come in sooner than losses are admitted, so outcomes that are known early are better than the scores say.
The predicted log-odds are therefore taken given the delay (`OutcomeNull`).
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from leadscore.drift.sequential.boundary import LOG_OF_NOTHING, Boundary, Floats, StreamNumbers
from leadscore.drift.statistics.odds import log_odds
from leadscore.errors import BadInputError
from leadscore.intervals import Flags

_LEAST_DAYS: Final = 1.0 / 24.0
_NEWTON: Final = 25
_LEAST_CONVERSIONS: Final = 20


class Bet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to be wrong: the log-odds are truly `shift + centre + slope * (logit - centre)`.

    Attributes:
        name: In words.
        shift: Added to the log-odds.
        slope: Of the true log-odds over the predicted ones, about the reference's base rate.
        leads: The leads have changed with it, as under label shift: their scores are bet on as well.
    """

    name: str
    shift: float
    slope: float = 1.0
    leads: bool = False


BETS: Final = (
    Bet("a far lower conversion rate, and leads to match", -0.9, leads=True),
    Bet("a lower conversion rate, and leads to match", -0.35, leads=True),
    Bet("a higher conversion rate, and leads to match", 0.35, leads=True),
    Bet("a far higher conversion rate, and leads to match", 0.9, leads=True),
    Bet("far fewer conversions than predicted", -0.9),
    Bet("fewer conversions than predicted", -0.35),
    Bet("more conversions than predicted", 0.35),
    Bet("far more conversions than predicted", 0.9),
    Bet("the score separates leads less than it did", 0.0, 0.7),
    Bet("the score no longer separates leads", 0.0, 0.3),
    Bet("the score separates leads more than it did", 0.0, 1.4),
)


class OutcomeNull(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Outcomes of the reference given score and delay.

    Log-odds = intercept + slope * logit + timing * log(days).

    Attributes:
        intercept: Of the log-odds.
        slope: Over the model's own log-odds; 1 for a calibrated model.
        timing: Over the logarithm of the days to the outcome; negative where wins come in sooner.
        base: Mean score.
    """

    intercept: float
    slope: float
    timing: float
    base: float

    def logits(self, probabilities: Floats, days: Floats) -> Floats:
        """Log-odds of leads whose outcome became known after so many days, (n,)."""
        waited = np.log(np.maximum(days, _LEAST_DAYS))
        return self.intercept + self.slope * log_odds(probabilities) + self.timing * waited


def fit_null(probabilities: Floats, converted: Flags, days: Floats) -> OutcomeNull:
    """Logistic regression of the reference's outcomes (Newton's method).

    Where all outcomes took equally long, how long says nothing: `timing` is 0.

    Args:
        probabilities: Scores of mature leads that the model was not trained on, (n,).
        converted: Their outcomes (n,).
        days: From the lead to its outcome (n,).

    Raises:
        BadInputError: Fewer than 20 conversions, or than 20 others.
    """
    if min(converted.sum(), (~converted).sum()) < _LEAST_CONVERSIONS:
        raise BadInputError(
            f"{int(converted.sum())} of {len(converted)} reference leads converted.",
            hint=f"A chart of outcomes needs at least {_LEAST_CONVERSIONS} conversions, and as many others.",
        )
    waited = np.log(np.maximum(days, _LEAST_DAYS))
    columns = [np.ones(len(waited)), log_odds(probabilities)]
    design = np.stack([*columns, waited] if np.ptp(waited) > 0.0 else columns, axis=1)
    beta = np.array([0.0, 1.0, 0.0])[: design.shape[1]]
    for _ in range(_NEWTON):
        p = 1.0 / (1.0 + np.exp(-design @ beta))
        information = (design * (p * (1 - p))[:, None]).T @ design
        step = np.linalg.lstsq(information, design.T @ (converted - p), rcond=None)[0]
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    timing = float(beta[2]) if len(beta) > 2 else 0.0
    return OutcomeNull(float(beta[0]), float(beta[1]), timing, base=float(probabilities.mean()))


class OutcomeChart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is watched: serialisable, so that levels are simulated once per model and kept.

    Attributes:
        null: Outcomes of the reference.
        run_length: Expected evaluations to a false alarm.
        horizon: Evaluations for which a lead's outcome is waited for; later ones are left out.
        bets: With equal weights.
        boundary: Simulated levels of the log e-detector; None for the level that always holds,
            log(run_length).
    """

    null: OutcomeNull
    run_length: float
    horizon: int
    bets: tuple[Bet, ...] = BETS
    boundary: Boundary | None = None

    def __post_init__(self) -> None:
        if not self.run_length > 1.0 or self.horizon < 1 or not self.bets:
            raise ValueError("a chart of outcomes needs a run length above 1, a horizon and bets")

    def level(self, evaluation: int) -> float:
        """Level of the log e-detector at an evaluation, counted from 1."""
        return float(np.log(self.run_length)) if self.boundary is None else self.boundary.at(evaluation)


class OutcomeState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the chart stands between evaluations.

    Attributes:
        evaluation: Evaluations since the start or the last alarm.
        blocks: Log evidence of the leads that arrived at each of the last `horizon`
            evaluations, (evaluations, bets), oldest first.
        before: Log of the sum over changes that began before those, up to the first of them, (bets,).
    """

    evaluation: int
    blocks: tuple[tuple[float, ...], ...]
    before: tuple[float, ...]


class OutcomeStep(msgspec.Struct, frozen=True):
    """The chart's answer to an evaluation.

    Attributes:
        state: To go on with; after an alarm the chart starts afresh.
        statistic: Log of the mean e-detector.
        level: An alarm is above it.
        alarm: Whether it is.
        bet: The one that has won most.
        since: Evaluation with whose leads its change most likely began; 0 if before all that are kept.
    """

    state: OutcomeState
    statistic: float
    level: float
    alarm: bool
    bet: str
    since: int


class NewOutcomes(msgspec.Struct, frozen=True):
    """Outcomes that became known since the last evaluation.

    Attributes:
        evaluation: Number of the one at which each lead arrived, counted like the state's, (n,).
        probabilities: What had been predicted (n,).
        converted: What became of them (n,).
        days: From the lead to its outcome (n,).
    """

    evaluation: StreamNumbers
    probabilities: Floats
    converted: Flags
    days: Floats


def start_outcomes(chart: OutcomeChart) -> OutcomeState:
    """The state before any lead."""
    return OutcomeState(0, (), (LOG_OF_NOTHING,) * len(chart.bets))


def watch_outcomes(
    chart: OutcomeChart, state: OutcomeState, arrived: Floats, known: NewOutcomes
) -> OutcomeStep:
    """Take in the leads that arrived since the last evaluation, and the outcomes that became known.

    Args:
        chart: What is watched.
        state: From `start_outcomes` or the last step.
        arrived: Scores of new leads (n,).
        known: Outcomes; those of leads from before the start, or older than the horizon, are left out.

    Raises:
        BadInputError: An outcome of a lead that is yet to come.
    """
    evaluation = state.evaluation + 1
    if len(known.evaluation) and int(known.evaluation.max()) > evaluation:
        raise BadInputError(
            f"An outcome of a lead of evaluation {int(known.evaluation.max())} at {evaluation}."
        )
    blocks = np.zeros((len(state.blocks) + 1, len(chart.bets)))
    blocks[:-1] = np.array(state.blocks).reshape(-1, len(chart.bets))
    blocks[-1] = arrival_ratios(chart, arrived).sum(axis=0)
    before = np.array(state.before)
    if len(blocks) > chart.horizon:
        before, blocks = np.logaddexp(before, 0.0) + blocks[0], blocks[1:]
    first = evaluation - len(blocks) + 1
    kept = known.evaluation >= first
    otherwise, won = outcome_ratios(chart, known.probabilities[kept], known.days[kept])
    gained = np.where(known.converted[kept][:, None], won, otherwise)
    np.add.at(blocks, known.evaluation[kept] - first, gained)
    since = blocks[::-1].cumsum(axis=0)[::-1]
    logs = np.logaddexp(np.logaddexp.reduce(since, axis=0), before + since[0])
    statistic = float(distinct(np.logaddexp.reduce(logs) - np.log(len(logs))))
    level = chart.level(evaluation)
    best = int(np.argmax(logs))
    # The likeliest beginning among the kept ones, unless the ones before weigh more.
    began = int(np.argmax(since[:, best]))
    older = before[best] + since[0, best] > since[began, best]
    alarm = statistic > level
    after = OutcomeState(evaluation, tuple(map(tuple, blocks.tolist())), tuple(before.tolist()))
    return OutcomeStep(
        state=start_outcomes(chart) if alarm else after,
        statistic=statistic,
        level=level,
        alarm=alarm,
        bet=chart.bets[best].name,
        since=0 if older else first + began,
    )


def arrival_ratios(chart: OutcomeChart, probabilities: Floats) -> Floats:
    """Log likelihood ratio of each lead by its score alone, (n, bets); 0 where leads are not bet on."""
    base, odds = chart.null.base, log_odds(np.array([chart.null.base]))
    result = np.zeros((len(probabilities), len(chart.bets)))
    for i, bet in enumerate(chart.bets):
        if bet.leads:
            rate = float(1.0 / (1.0 + np.exp(-(odds[0] + bet.shift))))
            result[:, i] = np.log(rate / base * probabilities + (1 - rate) / (1 - base) * (1 - probabilities))
    return result


def outcome_ratios(chart: OutcomeChart, probabilities: Floats, days: Floats) -> tuple[Floats, Floats]:
    """Log likelihood ratios of outcomes given the score, if not converted and if converted.

    Each (n, bets).
    """
    logit = chart.null.logits(probabilities, days)[:, None]
    score = log_odds(probabilities)[:, None]
    centre = log_odds(np.array([chart.null.base]))[0]
    shift = np.array([bet.shift for bet in chart.bets])
    slope = np.array([bet.slope for bet in chart.bets])
    gain = shift + (slope - 1.0) * chart.null.slope * (score - centre)
    otherwise = np.logaddexp(0.0, logit) - np.logaddexp(0.0, logit + gain)
    return otherwise, otherwise + gain


def distinct(statistic: Floats) -> Floats:
    """Statistics to four digits.

    Before any outcome all streams have the same one, and one equal to its level is no alarm.
    """
    return np.round(statistic, 4)
