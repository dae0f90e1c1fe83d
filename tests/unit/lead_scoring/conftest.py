"""The application, driven through ASGI messages in this process: no server, no socket."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.artefacts import build_artefact

from lead_scoring.app import Application
from lead_scoring.engine import Engine
from lead_scoring.settings import Settings
from lead_scoring.worker import Worker
from leadscore.contract.openapi import example_lead
from leadscore.events.records import Outcome, Prediction
from leadscore.events.tail import SpoolTail
from leadscore.scoring.model import ScoringModel

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


async def _inner(scope, receive, send) -> None:
    """What BentoML's own application does with the lifespan; it must never see anything else."""
    assert scope["type"] == "lifespan"
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


class Service:
    """One worker: started on the first request, stopped by the fixture."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.settings = Settings.from_environment(environ)
        self.loop = asyncio.new_event_loop()
        self.app = Application(_inner, settings=lambda: self.settings)
        self._messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._sent: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._life: asyncio.Task[None] | None = None
        self._client: tuple[str, int] | None = None

    @contextmanager
    def called_from(self, address: str) -> Iterator[None]:
        """Requests come over a connection from there."""
        self._client = (address, 4711)
        try:
            yield
        finally:
            self._client = None

    @property
    def worker(self) -> Worker:
        assert self.app.worker is not None
        return self.app.worker

    @property
    def engine(self) -> Engine:
        assert self.worker.engine is not None
        return self.worker.engine

    def start(self, *, until: Sequence[str] = ("ready",)) -> Service:
        async def begin() -> None:
            self._life = asyncio.ensure_future(
                self.app({"type": "lifespan"}, self._messages.get, self._sent.put)
            )
            await self._messages.put({"type": "lifespan.startup"})
            await self._sent.get()
            async with asyncio.timeout(60):
                while self.worker.lifecycle.phase not in until:
                    await asyncio.sleep(0.005)

        self.loop.run_until_complete(begin())
        return self

    def stop(self) -> None:
        async def end() -> None:
            await self._messages.put({"type": "lifespan.shutdown"})
            await self._sent.get()

        if self._life is not None and not self.loop.is_closed():
            self.loop.run_until_complete(end())
        self.loop.close()

    def kill(self) -> None:
        """What is left when the process is gone: nothing is finished, only the locks are free."""
        self.engine.spool.close()
        self.engine.counter_file.close()
        self.engine.replies.close()
        self._life = None
        for task in asyncio.all_tasks(self.loop):
            task.cancel()

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | object = b"",
        headers: Mapping[str, str] = {},
        *,
        chunks: Sequence[bytes] | None = None,
    ) -> Answer:
        return self.loop.run_until_complete(self.asking(method, target, body, headers, chunks=chunks))

    def post(self, target: str, body: bytes | object, headers: Mapping[str, str] = {}) -> Answer:
        return self.ask("POST", target, body, {**JSON, **headers})

    async def asking(
        self,
        method: str,
        target: str,
        body: bytes | object = b"",
        headers: Mapping[str, str] = {},
        *,
        chunks: Sequence[bytes] | None = None,
    ) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        path, _, query = target.partition("?")
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        if chunks is None:
            chunks = [content]
            if "content-length" not in headers:
                sent.append((b"content-length", str(len(content)).encode()))
        messages = [
            {"type": "http.request", "body": chunk, "more_body": i + 1 < len(chunks)}
            for i, chunk in enumerate(chunks)
        ]
        replies: list[dict] = []

        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message) -> None:
            replies.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": sent,
            "client": self._client,
        }
        await self.app(scope, receive, send)
        if not replies:
            return Answer(0, {}, b"")
        start, end = replies
        found = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], found, end["body"])

    def logged(self) -> list[Prediction | Outcome]:
        """Everything on the spool, in order."""
        return spooled(self.settings.spool_dir)


def spooled(root: Path) -> list[Prediction | Outcome]:
    """Everything on a spool that nobody ships, in order."""
    return [entry.record for entry in SpoolTail(root).next_batch(1_000_000).records]


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_artefact(tmp_path_factory.mktemp("model") / "artefact")


@pytest.fixture(scope="session")
def model(artefact: Path) -> ScoringModel:
    return ScoringModel.load(artefact)


@pytest.fixture
def lead(model: ScoringModel) -> dict[str, object]:
    return example_lead(model.contract)


@pytest.fixture
def environ(artefact: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "LEADSCORE_HOME": str(tmp_path / "home"),
        "LEADSCORE_MODEL_DIR": str(artefact),
        "LEADSCORE_AUTH": "off",
        "LEADSCORE_SHIPPER": "off",
        "LEADSCORE_THREADS": "1",
    }


@pytest.fixture
def make_service(environ: dict[str, str]) -> Iterator[Callable[..., Service]]:
    """Services with settings of their own; logging and signals are as before when the test ends."""
    made: list[Service] = []
    root = logging.getLogger()
    handlers, level, sigterm = root.handlers[:], root.level, signal.getsignal(signal.SIGTERM)

    def make(**settings: str) -> Service:
        service = Service({**environ, **settings})
        made.append(service)
        return service

    yield make
    for service in made:
        service.stop()
    root.handlers[:], root.level = handlers, level
    signal.signal(signal.SIGTERM, sigterm)


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service().start()
