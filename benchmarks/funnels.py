"""Funnels whose outcomes come late: the synthetic CRM at several delays, and a seller's opportunities as its CRM exports them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

    from leadscore.contract import FeatureContract

START = datetime(2022, 1, 1, tzinfo=UTC)
# Until then every outcome of the synthetic funnels is known.
ALL_KNOWN = datetime(2060, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Funnel:
    """A table as it is known at a moment.

    Attributes:
        name: For people.
        table: Leads with what is known of them.
        contract: What its columns mean.
        truth: Outcome of each lead in the end, NaN where it never gets one (n,).
    """

    name: str
    table: pa.Table
    contract: FeatureContract
    truth: npt.NDArray[np.float32]


def synthetic_funnel(seed: int, loss_delay: float, *, rows: int = 20_000, months: float = 36) -> Funnel:
    """The synthetic CRM whose losses become known after a median of `loss_delay` days, wins after two weeks."""
    from leadscore.data.matrix import labels  # noqa: PLC0415
    from leadscore.data.synthetic import generate, synthetic_contract  # noqa: PLC0415

    contract = synthetic_contract()

    def made(as_of: datetime | None) -> pa.Table:
        return generate(rows=rows, seed=seed, start=START, months=months, loss_delay=loss_delay, as_of=as_of)

    return Funnel(f"{loss_delay:g} days", made(None), contract, labels(contract, made(ALL_KNOWN)))


def seller_funnel(path: Path) -> Funnel:
    """The opportunities of a hardware seller ("CRM Sales Opportunities"), those that were begun; open ones have no outcome."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    from leadscore.contract import Categorical, FeatureContract, Target  # noqa: PLC0415
    from leadscore.data.matrix import labels  # noqa: PLC0415

    table = csv.read_csv(path)
    table = table.filter(pc.is_valid(table["engage_date"]))
    dates = {
        name: pc.strptime(table[name], format="%m/%d/%Y", unit="us") for name in ("engage_date", "close_date")
    }
    stage = table["deal_stage"]
    settled = pc.is_in(stage, value_set=pa.array(["Won", "Lost"]))
    inputs = ("sales_agent", "product", "account")
    plain = pa.table(
        {
            "opportunity_id": table["opportunity_id"],
            **dates,
            "deal_stage": pc.if_else(settled, stage, pa.scalar(None, pa.string())),
            **{name: table[name] for name in inputs},
        }
    )
    contract = FeatureContract(
        name="opportunities",
        id="opportunity_id",
        time="engage_date",
        target=Target(column="deal_stage", positive="Won", known_at="close_date"),
        features=tuple(
            Categorical(name=name, categories=tuple(sorted(set(table[name].drop_null().to_pylist()))))
            for name in inputs
        ),
    )
    return Funnel("a seller's CRM", plain, contract, labels(contract, plain))


def seeds(count: int) -> Iterator[int]:
    """Seeds of worlds, apart from those of the tests."""
    yield from range(4_000, 4_000 + count)
