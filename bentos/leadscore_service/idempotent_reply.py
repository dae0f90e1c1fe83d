"""Answer a request with an `Idempotency-Key` once, however often it comes (see `idempotency`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from leadscore.events.records import SHADOW_ROLE
from leadscore.identity.caller import OIDC, Caller
from leadscore_service.engine import Engine
from leadscore_service.errors import IdempotencyKeyReusedError
from leadscore_service.http import ACCEPT, CONTENT_TYPE, IDEMPOTENCY_KEY, Reply, Request
from leadscore_service.idempotency import RecordedReply, check_key, request_digest
from leadscore_service.ids import repeatable_id

NewId = Callable[[], str]


async def answer_once(
    engine: Engine, request: Request, body: bytes, compute: Callable[[NewId], Awaitable[RecordedReply]]
) -> Reply:
    """The answer of the request's key: remembered, or computed, remembered and logged.

    Without a key, computed and logged.

    Args:
        engine: The engine.
        request: Carries the key, or none; keys of different callers and paths do not meet.
        body: The request's body: the same key with another body, query or media type is refused.
        compute: Makes the answer, with prediction ids from the function it is given. It logs nothing.

    Raises:
        BadInputError: The key is not one, or was used for another request.
        UnavailableError: The answer cannot be remembered or logged; nothing was acknowledged.
    """
    raw = request.headers[IDEMPOTENCY_KEY]
    if raw is None:
        answer = await compute(lambda: engine.ids.next(request.now_ns))
        await engine.log_predictions(answer.records)
        return Reply(200, answer.body, (b"content-type", answer.media_type.encode()))
    parts = [_of(request.caller), request.path.encode(), check_key(raw)]
    if engine.settings.role == SHADOW_ROLE:
        # A mirrored copy has the original's key. With the original's ids the store would keep only one of
        # both.
        parts.append(SHADOW_ROLE.encode())
    key = request_digest(*parts)
    accepted = (request.headers[CONTENT_TYPE] or b"", request.headers[ACCEPT] or b"")
    fingerprint = request_digest(request.query, *accepted, body)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(engine.remembering, engine.replies.find, key, fingerprint)
        if found is None:
            answer = await compute(_ids(key))
            remember = partial(engine.replies.remember, key, fingerprint, answer)
            found = await loop.run_in_executor(engine.remembering, remember)
    except IdempotencyKeyReusedError:
        engine.counters.add("idempotency_refused")
        raise
    await engine.log_predictions(found.answer.records)
    engine.counters.add("idempotency_replayed" if found.replayed else "idempotency_stored")
    engine.counters.add("idempotency_evicted", found.evicted)
    answer = found.answer
    if answer.records:
        request.prediction_id = answer.records[0].prediction_id
    extra = ((b"idempotency-replayed", b"true"),) if found.replayed else ()
    return Reply(200, answer.body, (b"content-type", answer.media_type.encode()), extra)


def _ids(key: bytes) -> NewId:
    numbers = iter(range(1 << 40))
    return lambda: repeatable_id(key, next(numbers))


def _of(caller: Caller | None) -> bytes:
    """Tells callers apart.

    What holders of API keys sent to an earlier release is remembered by their names alone.
    """
    if caller is None:
        return b""
    return (f"{caller.kind}:{caller.name}" if caller.kind == OIDC else caller.name).encode()
