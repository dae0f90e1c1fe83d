"""A Prometheus that scrapes what the service's own exporter writes, for any number of pod template hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from tests.support import programs
from tests.support.chart import Chart
from tests.support.prometheus import Prometheus

from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import ReferenceProfile
from leadscore_service.metrics_export import Gauges, ServedModel, render
from leadscore_service.metrics_layout import ENDPOINTS, STATUSES, CounterLayout

_PROFILE = ReferenceProfile(
    rows=10, features=(), score_edges=(0.5,), score_counts=(5, 5), quantiles=(0.5,) * 101
)
_GAUGES = Gauges(
    ready=True,
    keys=1,
    key_reload_errors=0,
    spool_bytes=0,
    spool_max_bytes=1,
    idempotency_bytes=0,
    shipper=None,
)


class Version:
    """The counters of one version's pods."""

    def __init__(self, pod_template_hash: str) -> None:
        self.model = ServedModel("leads", "1", "c", "numpy", pod_template_hash, _PROFILE)
        self.layout = CounterLayout.of(_PROFILE, pod_template_hash)
        self.total = [0] * self.layout.size

    def score(self, by_bin: Mapping[int, int]) -> None:
        """Count leads in bins of probability."""
        for number, count in by_bin.items():
            assert 0 <= number <= len(PROBABILITY_EDGES)
            self.total[self.layout.probabilities + number] += count

    def grade(self, counts: tuple[int, int, int, int]) -> None:
        """Count leads by grade, A first."""
        for offset, count in enumerate(counts):
            self.total[self.layout.grades + offset] += count

    def answer(self, status: int, count: int) -> None:
        """Count replies of `/score-lead`."""
        cell = ENDPOINTS.index("/score-lead") * len(STATUSES) + STATUSES.index(status)
        self.total[self.layout.requests + cell] += count


class Metrics(Prometheus):
    """What versions export, over HTTP, and a Prometheus that scrapes it.

    First zeros, then what was counted.
    """

    def __init__(self, folder: Path, hashes: tuple[str, ...]) -> None:
        self.versions = {name: Version(name) for name in hashes}
        pages = {f"/{name}": partial(_page, version) for name, version in self.versions.items()}
        super().__init__(folder, pages, {path: {"namespace": "scoring"} for path in pages})


def _page(version: Version) -> bytes:
    return render(version.model, version.layout, version.total, _GAUGES)


@pytest.fixture(scope="session")
def chart() -> Chart:
    return Chart(programs.helm())


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Metrics]:
    hashes: tuple[str, ...] = request.module.HASHES
    running = Metrics(tmp_path_factory.mktemp("prometheus"), hashes)
    try:
        running.wait_for("count(leadscore_ready)", len(hashes))
        yield running
    finally:
        running.close()
