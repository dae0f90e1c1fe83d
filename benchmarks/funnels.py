"""Funnels whose outcomes come late.

The synthetic CRM at several delays, and a seller's opportunities as its CRM exports them.
"""

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
    """The synthetic CRM whose losses become known after about `loss_delay` days, wins after two weeks.

    Both delays are medians.
    """
    from leadscore.data.matrix import labels  # noqa: PLC0415
    from leadscore.data.synthetic import generate, synthetic_contract  # noqa: PLC0415

    contract = synthetic_contract()

    def made(as_of: datetime | None) -> pa.Table:
        return generate(rows=rows, seed=seed, start=START, months=months, loss_delay=loss_delay, as_of=as_of)

    return Funnel(f"{loss_delay:g} days", made(None), contract, labels(contract, made(ALL_KNOWN)))


def seller_funnel(path: Path) -> Funnel:
    """The opportunities of a hardware seller ("CRM Sales Opportunities"), those that were begun.

    Open ones have no outcome.
    """
    from leadscore.contract import Categorical, ColumnFormat, FeatureContract, Target  # noqa: PLC0415
    from leadscore.data.matrix import labels  # noqa: PLC0415
    from leadscore.data.tables import read_table  # noqa: PLC0415

    table = read_table(path)
    begun = [str(day.as_py() or "") != "" for day in table.column("engage_date")]
    table = table.filter(begun)
    day = ColumnFormat(time_format="%m/%d/%Y")
    contract = FeatureContract(
        name="opportunities",
        id="opportunity_id",
        time="engage_date",
        target=Target(
            column="deal_stage",
            positive="Won",
            known_at="close_date",
            open_values=("Engaging", "Prospecting"),
        ),
        features=tuple(
            Categorical(
                name=name, categories=tuple(sorted({str(v) for v in table.column(name).to_pylist() if v}))
            )
            for name in ("sales_agent", "product", "account")
        ),
        formats={"engage_date": day, "close_date": day},
    )
    return Funnel("a seller's CRM", table, contract, labels(contract, table))


def seeds(count: int) -> Iterator[int]:
    """Seeds of worlds, apart from those of the tests."""
    yield from range(4_000, 4_000 + count)
