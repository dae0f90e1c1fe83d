"""A language model's text is shown only where it says what was found: endpoints that lie, hang and inject."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support.waiting import wait_until

from leadscore.console.insights import InsightSentence, QuotedMeasure
from leadscore.console.rephrasing import Rephraser, RephrasingSettings
from leadscore.errors import BadInputError
from leadscore.monitoring.measures import Measure


def sentences(now: float = 0.146) -> list[InsightSentence]:
    quoted = {"now": QuotedMeasure(Measure(value=now, n=4_443), "share")}
    return [
        InsightSentence(template="{now} of leads became customers.", numbers=quoted),
        InsightSentence(template="Call leads of grade {grade} first.", names={"grade": "A"}),
    ]


@contextmanager
def endpoint(answer: Callable[[dict[str, object]], bytes]) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A chat endpoint that answers what it is told to, and what it was asked."""
    asked: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body | {"path": self.path, "authorization": self.headers.get("Authorization", "")})
            reply = answer(body)
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()


def completion(text: str) -> bytes:
    return json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}).encode()


def answered(rephraser: Rephraser, asked: list[dict[str, object]]) -> None:
    """Ask, and wait until what came back was judged."""
    assert rephraser.said(sentences()) == ""
    wait_until(lambda: not any(t.name == "rephrase" for t in threading.enumerate()), what="the answer")
    assert len(asked) == 1


def test_a_text_with_the_same_numbers_is_shown_while_they_are_the_same() -> None:
    honest = "About 14.6 percent of leads became customers, so begin with grade A."
    with endpoint(lambda _: completion(honest)) as (url, asked):
        rephraser = Rephraser(RephrasingSettings(url + "/chat/completions", "small", "secret"))
        answered(rephraser, asked)
        assert rephraser.said(sentences()) == honest
        # The measure has moved: the text does not say it any more, and is not asked for at once.
        assert rephraser.said(sentences(0.151)) == ""
    (body,) = asked
    assert (body["path"], body["authorization"], body["model"]) == (
        "/v1/chat/completions",
        "Bearer secret",
        "small",
    )
    told = json.dumps(body["messages"])
    assert "of leads became customers" in told
    assert "L-" not in told


@pytest.mark.parametrize(
    "text",
    [
        "Conversion has doubled to 29.2 % of leads.",
        "14.6 % of leads became customers, twice as many as before.",
        '14.6 % <img src=x onerror="window.hacked=1"> of leads became customers.',
        "14.6 % of leads became customers, see http://evil.example.",
        "",
        "14.6 % " * 400,
    ],
    ids=["lies", "lies in words", "injects HTML", "links away", "says nothing", "never ends"],
)
def test_a_text_that_says_something_else_is_not_shown(text: str) -> None:
    with endpoint(lambda _: completion(text)) as (url, asked):
        rephraser = Rephraser(RephrasingSettings(url + "/chat/completions", "small"))
        answered(rephraser, asked)
        assert rephraser.said(sentences()) == ""


@pytest.mark.parametrize("reply", [b"no json", b'{"error": "busy"}', b'{"choices": []}', b"\xff" * 200_000])
def test_a_reply_that_is_none_is_not_shown(reply: bytes) -> None:
    with endpoint(lambda _: reply) as (url, asked):
        rephraser = Rephraser(RephrasingSettings(url + "/chat/completions", "small"))
        answered(rephraser, asked)
        assert rephraser.said(sentences()) == ""


def test_a_page_does_not_wait_for_an_endpoint_that_hangs_and_asks_it_once() -> None:
    go_on = threading.Event()

    def hang(_: dict[str, object]) -> bytes:
        go_on.wait(60)
        return completion("14.6 % of leads became customers.")

    with endpoint(hang) as (url, asked):
        rephraser = Rephraser(RephrasingSettings(url + "/chat/completions", "small"))
        began = time.monotonic()
        assert [rephraser.said(sentences()) for _ in range(50)] == [""] * 50
        assert time.monotonic() - began < 5
        wait_until(lambda: len(asked) == 1, what="the question")
        assert rephraser.said(sentences()) == ""
        go_on.set()
        wait_until(lambda: rephraser.said(sentences()) != "", what="the answer")
        assert len(asked) == 1


def test_an_endpoint_that_is_not_there_is_asked_again_after_a_pause() -> None:
    now = [0.0]
    rephraser = Rephraser(
        RephrasingSettings("http://127.0.0.1:9/v1/chat/completions", "small"), monotonic=lambda: now[0]
    )
    assert rephraser.said(sentences()) == ""
    wait_until(lambda: not any(t.name == "rephrase" for t in threading.enumerate()), what="the end of it")
    with endpoint(lambda _: completion("14.6 % of leads became customers.")) as (url, asked):
        rephraser._settings = RephrasingSettings(url + "/chat/completions", "small")
        assert rephraser.said(sentences()) == ""
        assert asked == []
        now[0] = 61.0
        wait_until(lambda: rephraser.said(sentences()) != "", what="the answer")


def test_nobody_is_asked_unless_somebody_set_it_up() -> None:
    assert RephrasingSettings.from_environment({}) is None
    found = RephrasingSettings.from_environment(
        {"LEADSCORE_INSIGHTS_URL": "http://127.0.0.1:11434/v1/", "LEADSCORE_INSIGHTS_MODEL": "small",
         "LEADSCORE_INSIGHTS_KEY": "secret"}
    )  # fmt: skip
    assert found == RephrasingSettings("http://127.0.0.1:11434/v1/chat/completions", "small", "secret")
    assert "secret" not in repr(found)
    for wrong in (
        {"LEADSCORE_INSIGHTS_URL": "file:///etc/passwd"},
        {"LEADSCORE_INSIGHTS_URL": "http://x/v1"},
    ):
        with pytest.raises(BadInputError):
            RephrasingSettings.from_environment(wrong)
