"""The load test's own options, each also an environment variable."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from locust.argument_parser import LocustArgumentParser

from loadtests.shapes import SHAPES
from loadtests.slo import Objectives


@dataclass(frozen=True, slots=True)
class Options:
    """What to send, how fast, from how many connections, and what must hold."""

    shape: str
    seconds: float
    rate: float
    peak: float
    connections: int
    seed: int
    leads: Path | None
    http_host: str
    openapi: str
    wait: float
    api_key: str
    objectives: Objectives
    verdict: Path | None


def add_options(parser: LocustArgumentParser) -> None:
    """Add our options to Locust's parser."""
    parser.add_argument("--shape", choices=SHAPES, default="constant", env_var="LEADSCORE_SHAPE")
    parser.add_argument(
        "--rate", type=float, default=25.0, env_var="LEADSCORE_RATE", help="req/s of the constant part (25)"
    )
    parser.add_argument(
        "--peak-rate",
        type=float,
        default=None,
        env_var="LEADSCORE_PEAK_RATE",
        help="req/s at the top of the ramp (2,000) or of the spike (ten times --rate)",
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=64,
        env_var="LEADSCORE_CONNECTIONS",
        help="keep-alive connections that requests are sent from (64)",
    )
    parser.add_argument("--seed", type=int, default=7, env_var="LEADSCORE_SEED", help="of leads and mix (7)")
    parser.add_argument(
        "--leads",
        default="",
        env_var="LEADSCORE_LEADS",
        include_in_web_ui=False,
        help="table or .jsonl of leads; default: made from the service's OpenAPI document",
    )
    parser.add_argument(
        "--http-host",
        default="",
        env_var="LEADSCORE_HTTP_HOST",
        include_in_web_ui=False,
        help="the Host header, where an ingress is called by another name than the one it routes",
    )
    parser.add_argument(
        "--openapi",
        default="",
        env_var="LEADSCORE_OPENAPI",
        include_in_web_ui=False,
        help="URL of the OpenAPI document, file: too; default: HOST/openapi.json, which no ingress routes",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        env_var="LEADSCORE_WAIT",
        include_in_web_ui=False,
        help="seconds to wait for that document before the run starts (0)",
    )
    parser.add_argument(
        "--api-key",
        default="",
        env_var="LEADSCORE_API_KEY",
        include_in_web_ui=False,
        help="key with the scopes score, explain and outcomes (better given as LEADSCORE_API_KEY)",
    )
    parser.add_argument("--slo-p95-ms", type=float, default=200.0, env_var="LEADSCORE_SLO_P95_MS")
    parser.add_argument(
        "--slo-errors", type=float, default=0.01, env_var="LEADSCORE_SLO_ERRORS", help="share, 0.01 = 1 %%"
    )
    parser.add_argument("--slo-rps", type=float, default=10.0, env_var="LEADSCORE_SLO_RPS")
    parser.add_argument(
        "--slo-json",
        default="",
        env_var="LEADSCORE_SLO_JSON",
        include_in_web_ui=False,
        help="also write the verdict to this file",
    )


def read_options(parsed: Namespace) -> Options:
    """Locust's parsed options as ours; without --run-time a run takes 60 s."""
    default_peak = 2000.0 if parsed.shape == "ramp" else 10 * parsed.rate
    return Options(
        shape=parsed.shape,
        seconds=float(parsed.run_time or 60),
        rate=parsed.rate,
        peak=default_peak if parsed.peak_rate is None else parsed.peak_rate,
        connections=parsed.connections,
        seed=parsed.seed,
        leads=Path(parsed.leads) if parsed.leads else None,
        http_host=parsed.http_host,
        openapi=parsed.openapi,
        wait=parsed.wait,
        api_key=parsed.api_key,
        objectives=Objectives(p95_ms=parsed.slo_p95_ms, errors=parsed.slo_errors, rate=parsed.slo_rps),
        verdict=Path(parsed.slo_json) if parsed.slo_json else None,
    )
