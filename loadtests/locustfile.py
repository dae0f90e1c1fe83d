"""Locust users that speak like a CRM, on an open-loop schedule.

From the project's root:

    locust -f loadtests/locustfile.py --headless --host http://127.0.0.1:3000 --run-time 60s

sends a constant 25 req/s and ends with the verdict; `--shape ramp` and `--shape spike` are the other shapes,
and without `--headless` the web interface opens on port 8089. Exit code 1 means that an objective was missed.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import gevent
from locust import FastHttpUser, LoadTestShape, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.exception import StopTest, StopUser
from locust.runners import LocalRunner
from rich.console import Console

from leadscore.errors import LeadScoreError, RefusedError
from loadtests.document import read_document, wait_for_document
from loadtests.leads import Json, Lead, from_table, generated, lead_schema
from loadtests.mix import Kind, Mix, Scored
from loadtests.options import Options, add_options, read_options
from loadtests.report import print_verdict
from loadtests.schedule import Arrival, Run
from loadtests.shapes import make_shape
from loadtests.slo import Sample, Verdict, judge, judge_ramp

_ENDPOINTS: dict[Kind, str] = {
    "score": "/score-lead",
    "bulk": "/score-leads",
    "explain": "/explain-prediction",
    "outcome": "/outcomes",
}


@dataclass(slots=True)
class Session:
    """What all users of one run share."""

    options: Options
    run: Run
    mix: Mix
    leads: Iterator[Lead]


# Locust makes its users and shapes itself, from classes: this is the one place where they can meet.
_sessions: dict[Environment, Session] = {}
_verdicts: list[Verdict] = []


@events.init_command_line_parser.add_listener
def _add_options(parser: LocustArgumentParser) -> None:
    add_options(parser)


@events.init.add_listener
def _wait(environment: Environment, **_: object) -> None:
    """Before the clock of `--run-time` starts: a Job is often there before the service is."""
    options = read_options(cast("Namespace", environment.parsed_options))
    if options.wait > 0:
        wait_for_document(_document_url(environment, options), options.wait, gevent.sleep)


def _document_url(environment: Environment, options: Options) -> str:
    host = environment.host or cast("str", cast("Namespace", environment.parsed_options).host)
    return options.openapi or f"{host}/openapi.json"


@events.test_start.add_listener
def _start(environment: Environment, **_: object) -> None:
    try:
        _sessions[environment] = _open_session(environment)
    except (OSError, ValueError, LeadScoreError) as error:
        environment.process_exit_code = 2
        raise StopTest(f"The load test cannot start: {error}") from error


def _open_session(environment: Environment) -> Session:
    if not isinstance(environment.runner, LocalRunner):
        raise RefusedError(
            "One process hands out the schedule: leave out --master, --worker and --processes."
        )
    options = read_options(cast("Namespace", environment.parsed_options))
    shape = make_shape(options.shape, seconds=options.seconds, rate=options.rate, peak=options.peak)
    schema = lead_schema(read_document(_document_url(environment, options)))
    leads = generated(schema, options.seed) if options.leads is None else from_table(schema, options.leads)
    # Users need a moment to be spawned; what is due before they exist would be late through no fault of the
    # service.
    run = Run(shape, started=time.perf_counter() + 1.0, stops_when_saturated=options.shape == "ramp")
    return Session(options, run, Mix(options.seed), leads)


@events.test_stop.add_listener
def _stop(environment: Environment, **_: object) -> None:
    session = _sessions.pop(environment, None)
    if session is None:
        return
    options = session.options
    record = session.run.close(time.perf_counter())
    verdict = (judge_ramp if options.shape == "ramp" else judge)(
        record.samples, record.seconds, options.objectives
    )
    if cast("Namespace", environment.parsed_options).headless:
        _verdicts.append(verdict)
    else:
        print_verdict(verdict, Console())
    if options.verdict is not None:
        options.verdict.write_bytes(verdict.to_json())
    environment.process_exit_code = 0 if verdict.met else 1


@events.quit.add_listener
def _quit(**_: object) -> None:
    """After Locust's own summary, so that a log ends with the verdict."""
    for verdict in _verdicts:
        print_verdict(verdict, Console())


class OpenLoop(LoadTestShape):
    """Keeps the connections open until every arrival of the schedule is answered.

    The schedule is the load.
    """

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Called by Locust every second."""
        environment = cast("LocalRunner", self.runner).environment
        connections = read_options(cast("Namespace", environment.parsed_options)).connections
        session = _sessions.get(environment)
        if session is not None and session.run.finished(time.perf_counter()):
            return None
        return connections, connections


class Crm(FastHttpUser):
    """One keep-alive connection of the CRM: takes the next arrival, waits until it is due, sends it."""

    wait_time = constant(0)
    network_timeout = 30.0
    connection_timeout = 10.0

    def on_start(self) -> None:
        """Join the run."""
        self.session = _sessions[self.environment]
        options = self.session.options
        self.headers = {"Content-Type": "application/json"}
        if options.api_key:
            self.headers["Authorization"] = f"Bearer {options.api_key}"
        if options.http_host:
            self.headers["Host"] = options.http_host

    @task
    def serve_next_arrival(self) -> None:
        """Send one request of the schedule."""
        run = self.session.run
        arrival = run.take(time.perf_counter())
        if arrival is None:
            raise StopUser
        gevent.sleep(max(run.started + arrival.due - time.perf_counter(), 0))
        kind = self.session.mix.next()
        self._send(arrival, kind, self._body(kind))

    def _body(self, kind: Kind) -> Json:
        mix, leads = self.session.mix, self.session.leads
        if kind == "bulk":
            return {"leads": [next(leads) for _ in range(mix.bulk_size())]}
        if kind == "outcome":
            scored, converted = mix.outcome()
            return {"lead_id": scored.lead_id, "prediction_id": scored.prediction_id, "converted": converted}
        return next(leads)

    def _send(self, arrival: Arrival, kind: Kind, body: Json) -> None:
        run, endpoint = self.session.run, _ENDPOINTS[kind]
        data = json.dumps(body, separators=(",", ":"))
        run.sent(arrival, endpoint)
        sent = time.perf_counter()
        reply: ResponseContextManager
        with self.client.post(endpoint, data=data, headers=self.headers, catch_response=True) as reply:
            now = time.perf_counter()
            due = run.started + arrival.due
            problem = self._problem(kind, reply)
            if problem:
                reply.failure(problem)
            # What Locust shows then counts from the due time too.
            reply.request_meta["response_time"] = (now - due) * 1000
        sample = Sample(
            endpoint=endpoint,
            due=arrival.due,
            latency_ms=(now - due) * 1000,
            late_ms=max(sent - due, 0) * 1000,
            answered=not problem,
        )
        run.answered(arrival, sample, now)

    def _problem(self, kind: Kind, reply: ResponseContextManager) -> str:
        """Why the reply counts as a failure (empty if it does not); remembers the prediction of a score."""
        if not 200 <= reply.status_code < 300:
            return f"status {reply.status_code}: {(reply.text or '')[:200]}"
        if kind == "score":
            try:
                score = reply.json()
                self.session.mix.recent.append(Scored(score["lead_id"], score["prediction_id"]))
            except (ValueError, KeyError, TypeError) as error:
                return f"the reply is not a score: {error!r}"
        return ""
