"""Sentences said anew by a language model, where somebody has set one up; it decides nothing.

It is given finished sentences, aggregates only, and its text is shown only if it brings no number that
they do not have. A page never waits for it: until its text is there, and whenever it does not hold, ours are
shown.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from leadscore.console.insights import InsightSentence, says_only
from leadscore.errors import BadInputError

_log = logging.getLogger(__name__)
_PATH: Final = "/chat/completions"
_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 60.0
_MOST_BYTES: Final = 64 * 1024
_MOST_CHARACTERS: Final = 1_200
# What no sentence about leads has: markup, addresses, code.
_FOREIGN: Final = re.compile(r"[<>`{}\[\]|\\]|://|www\.", re.IGNORECASE)
_TASK: Final = (
    "You rephrase findings about a lead-scoring system for sales people, in plain English. Say what they "
    "say, in the same order and in no more sentences. Keep every number exactly as it is written, in digits. "
    "Add no number, cause, advice, greeting or markup. Answer with the sentences alone."
)


@dataclass(frozen=True, slots=True)
class RephrasingSettings:
    """Where sentences are said anew.

    Attributes:
        url: Of a chat endpoint as OpenAI's API has it.
        model: What it is asked for.
        key: Bearer token; "": none.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> RephrasingSettings | None:
        """As `LEADSCORE_INSIGHTS_URL`, `_MODEL` and `_KEY` say; None: nobody asked for it.

        Raises:
            BadInputError: The address is none, or no model is named.
        """
        url = environ.get("LEADSCORE_INSIGHTS_URL", "").strip().rstrip("/")
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadInputError(
                "LEADSCORE_INSIGHTS_URL is no http or https address.",
                hint="Give the base of a chat endpoint, such as http://127.0.0.1:11434/v1.",
            )
        model = environ.get("LEADSCORE_INSIGHTS_MODEL", "").strip()
        if not model:
            raise BadInputError(
                "LEADSCORE_INSIGHTS_URL is set, and no model is named.", hint="Set LEADSCORE_INSIGHTS_MODEL."
            )
        return cls(
            url if url.endswith(_PATH) else url + _PATH, model, environ.get("LEADSCORE_INSIGHTS_KEY", "")
        )


class _Said(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Said


class _Reply(msgspec.Struct):
    choices: list[_Choice]


class Rephraser:
    """Keeps the newest text of the model, and asks for another beside the pages.

    Args:
        settings: Where.
        monotonic: A clock that nobody sets.
    """

    def __init__(
        self, settings: RephrasingSettings, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.model = settings.model
        self._settings = settings
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._running = False
        self._asked_at: float | None = None
        self._text = ""
        self._about: tuple[object, ...] = ()

    def said(self, sentences: Sequence[InsightSentence]) -> str:
        """The sentences said anew, if a text is there whose numbers are theirs as they are now; or empty."""
        facts = [sentence.text for sentence in sentences]
        # Of the same findings: the same sentences, whatever their numbers are by now.
        about = tuple((sentence.template, tuple(sentence.names.items())) for sentence in sentences)
        with self._lock:
            text = self._text if about == self._about else ""
            if text and not why_not(text, facts):
                return text
            now = self._monotonic()
            rests = self._asked_at is not None and now - self._asked_at < _PAUSE_SECONDS
            if facts and not self._running and not rests:
                self._running, self._asked_at = True, now
                threading.Thread(target=self._ask, args=(facts, about), name="rephrase", daemon=True).start()
        return ""

    def _ask(self, facts: list[str], about: tuple[object, ...]) -> None:
        text = ""
        try:
            text = " ".join(self._fetch(facts).split())
            refused = why_not(text, facts)
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            msgspec.MsgspecError,
            UnicodeDecodeError,
            ValueError,
        ) as error:
            refused = type(error).__name__
        if refused:
            _log.warning("a rephrasing is not shown", extra={"fields": {"why": refused}})
        with self._lock:
            self._running = False
            self._text, self._about = ("", ()) if refused else (text, about)

    def _fetch(self, facts: Sequence[str]) -> str:
        settings, end = self._settings, self._monotonic() + _SECONDS
        body = {
            "model": settings.model,
            "temperature": 0,
            "max_tokens": 400,
            "stream": False,
            "messages": [
                {"role": "system", "content": _TASK},
                {"role": "user", "content": "\n".join(facts)},
            ],
        }
        headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        taken = bytearray()
        with (
            httpx.Client(timeout=_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", settings.url, json=body, headers=headers) as reply,
        ):
            reply.raise_for_status()
            for part in reply.iter_bytes():
                taken += part
                if len(taken) > _MOST_BYTES or self._monotonic() > end:
                    raise ValueError("the reply is too long, or takes too long")
        found = msgspec.json.decode(bytes(taken), type=_Reply)
        return found.choices[0].message.content if found.choices else ""


def why_not(text: str, facts: Sequence[str]) -> str:
    """Why a text is not shown in place of the facts; empty if it may be."""
    if not text or len(text) > _MOST_CHARACTERS:
        return "it is empty, or too long"
    if not text.isprintable() or _FOREIGN.search(text):
        return "it holds markup, code or an address"
    if not says_only(text, facts):
        return "it holds a number that the findings do not"
    return ""


@cache
def rephraser_for(settings: RephrasingSettings) -> Rephraser:
    """One for each endpoint: what it said last is kept between pages."""
    return Rephraser(settings)
