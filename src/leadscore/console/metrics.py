"""What the console counts about itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram


class ConsoleMetrics:
    """Counters of one console process; each has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refused = Counter(
            "leadscore_console_refused",
            "Requests that were refused, by why.",
            ("reason",),
            registry=self.registry,
        )
        self.pages = Histogram(
            "leadscore_console_page_seconds",
            "How long the making of a page took, by page and by what came of it.",
            ("page", "result"),
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
            registry=self.registry,
        )
        self.signed_in = Counter(
            "leadscore_console_sign_ins", "Sessions begun, by how.", ("kind",), registry=self.registry
        )
