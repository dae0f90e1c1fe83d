"""Real calls of a bank (2008-2010): trained on the first six months, served, scored over HTTP month by month.

Moro, Cortez, Rita: "Bank Marketing", UCI Machine Learning Repository (doi 10.24432/C5K306), in the order in
which the calls were made. The market collapsed while it was collected, so a model that is never retrained
must get worse: the table shows by how much, and says what retraining is worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, Suite
from benchmarks.errors import BenchError
from benchmarks.processes import running
from benchmarks.row import Row, Section
from benchmarks.service import api_key, service_plan
from leadscore.contract import Categorical, FeatureContract

if TYPE_CHECKING:
    import pyarrow as pa

_MONTHS = 6
_BATCH = 500
_MIN_CLASS = 5

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Month:
    """One month after training.

    The served model, and a plain XGBoost retrained every month, on the same leads.
    """

    name: str
    leads: int
    converted: float
    predicted: float
    auc: float
    low: float
    high: float
    retrained: float


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    del wanted
    if not bench.bank_data.exists():
        why = f"{bench.bank_data.name} is not there: give it with --bank-data"
        return [Row("bank-auc", "bank calls, month by month", None, "", None, how=why)]
    from leadscore.contract.infer import infer_contract  # noqa: PLC0415
    from leadscore.data.matrix import encode_table, labels, matrix_times  # noqa: PLC0415
    from leadscore.data.tables import read_table  # noqa: PLC0415

    table = read_table(bench.bank_data)
    contract = infer_contract(
        table, target="converted", id="lead_id", time="contact_month", name="bank"
    ).contract
    months = matrix_times(contract, table).astype("datetime64[M]")
    names = np.unique(months)
    first, later = names[:_MONTHS], names[_MONTHS:]
    artefact = _train(bench, table.filter(np.isin(months, first)), contract)
    after = np.isin(months, later)
    scored = _score_over_http(bench, artefact, contract, table.filter(after))
    probabilities = np.full(len(months), np.nan)
    probabilities[after] = scored
    matrix, converted = encode_table(contract, table), labels(contract, table) == 1
    result = [
        _judge(
            str(name),
            months == name,
            probabilities,
            converted,
            _retrained(contract, matrix, converted, months, name),
        )
        for name in later
    ]
    bench.sections.append(_section(result))
    return [_row(result, int(after.sum()))]


def _train(bench: Bench, table: pa.Table, contract: FeatureContract) -> Path:
    from leadscore.training.options import TrainOptions  # noqa: PLC0415
    from leadscore.training.pipeline import train  # noqa: PLC0415

    bench.say(f"bank: training on the first {_MONTHS} months, {table.num_rows:,} calls")
    # The six months with calls are spread over seven of the calendar.
    options = TrainOptions(name="bank", months=_MONTHS + 1, trials=bench.effort.trials, seed=1)
    return train(table, contract, options, out=bench.folder / "bank-model").directory


def _score_over_http(bench: Bench, artefact: Path, contract: FeatureContract, table: pa.Table) -> Floats:
    """Probabilities of the table's rows, asked from a running service in requests of 500 leads."""
    folder = bench.folder / "bank"
    key = api_key(folder)
    scored: list[float] = []
    with running(service_plan(artefact, folder)) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        for batch in _batches(contract, table):
            bench.say(f"bank: scoring over HTTP, {len(scored):,} of {table.num_rows:,}")
            connection.request("POST", "/score-leads", json.dumps({"leads": batch}), headers)
            reply = connection.getresponse()
            content = reply.read()
            if reply.status != 200:
                raise BenchError(f"/score-leads answered {reply.status}: {content[:300]!r}.")
            results = json.loads(content)["results"]
            if [result["lead_id"] for result in results] != [lead[contract.id] for lead in batch]:
                raise BenchError("/score-leads did not answer lead by lead, in order.")
            scored += [result["probability"] for result in results]
        connection.close()
    return np.array(scored)


def _batches(contract: FeatureContract, table: pa.Table) -> Iterator[list[dict[str, object]]]:
    sent = table.select([contract.id, *(feature.name for feature in contract.features)])
    for batch in sent.to_batches(max_chunksize=_BATCH):
        yield batch.to_pylist()


def _retrained(
    contract: FeatureContract,
    matrix: Floats,
    converted: Flags,
    months: npt.NDArray[np.datetime64],
    now: np.datetime64,
) -> Floats:
    """What a plain XGBoost (200 trees, depth 4) says that was trained on everything before the month."""
    import xgboost  # noqa: PLC0415

    types = ["c" if isinstance(feature, Categorical) else "q" for feature in contract.inputs]
    before = months < now
    options = {"feature_types": types, "enable_categorical": True}
    parameters = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.1, "nthread": 2, "seed": 1}
    booster = xgboost.train(parameters, xgboost.DMatrix(matrix[before], converted[before], **options), 200)
    return booster.predict(xgboost.DMatrix(matrix[months == now], **options))


def _judge(name: str, inside: Flags, probabilities: Floats, converted: Flags, retrained: Floats) -> Month:
    from leadscore.intervals import auc_estimate  # noqa: PLC0415

    won, predicted = converted[inside], probabilities[inside]
    few = min(int(won.sum()), int((~won).sum())) < _MIN_CLASS
    served, other = (None, None) if few else (auc_estimate(won, predicted), auc_estimate(won, retrained))
    return Month(
        name=name,
        leads=len(won),
        converted=float(won.mean()),
        predicted=float(predicted.mean()),
        auc=served.value if served else np.nan,
        low=served.low if served else np.nan,
        high=served.high if served else np.nan,
        retrained=other.value if other else np.nan,
    )


def _section(months: list[Month]) -> Section:
    lines = tuple(
        (
            *(month.name, f"{month.leads:,}", f"{month.converted:.1%}", f"{month.predicted:.1%}"),
            _number(month.auc),
            "-" if np.isnan(month.auc) else f"{month.low:.3f} to {month.high:.3f}",
            _number(month.retrained),
        )
        for month in months
    )
    return Section(
        title="Bank calls, month by month: trained on the first six months, never again",
        columns=(
            "month",
            "calls",
            "converted",
            "predicted",
            "AUC",
            "95 % interval",
            "AUC, plain XGBoost retrained monthly",
        ),
        lines=lines,
        note=(
            f"Scored over HTTP by a running service. Months with fewer than {_MIN_CLASS} of "
            "either outcome have no AUC."
        ),
    )


def _row(months: list[Month], leads: int) -> Row:
    served = float(np.nanmean([month.auc for month in months]))
    retrained = float(np.nanmean([month.retrained for month in months]))
    return Row(
        name="bank-auc",
        what=(
            f"bank calls: mean monthly AUC over the {len(months)} months after the "
            "first six, without retraining"
        ),
        value=served,
        unit="",
        goal=None,
        beside=f"a plain XGBoost retrained every month reaches {retrained:.3f}",
        how=f"{leads:,} calls scored over HTTP, table below",
    )


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


SUITES = (Suite(("bank-auc",), _measure),)
