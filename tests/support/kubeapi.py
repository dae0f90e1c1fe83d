"""A small API server over HTTP: objects with resource versions, for tests of what speaks to one."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Object = dict[str, Any]


class KubeApi:
    """Keeps objects by path. `answers` holds replies to give instead, once each, in order."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.answers: list[web.Response] = []
        self.calls: list[tuple[str, str]] = []
        self._versions = itertools.count(1)

    async def handle(self, request: web.Request) -> web.Response:
        """One request."""
        self.calls.append((request.method, request.path))
        if self.answers:
            return self.answers.pop(0)
        body = json.loads(await request.read() or b"{}")
        match request.method:
            case "GET":
                return self._read(request.path)
            case "POST":
                return self._create(request.path, body)
            case "PUT":
                return self._replace(request.path.removesuffix("/status"), body)
            case "PATCH":
                return self._apply(request.path, body)
            case _:
                found = self.objects.pop(request.path, None)
                return web.json_response(found or {"reason": "NotFound"}, status=200 if found else 404)

    def _read(self, path: str) -> web.Response:
        if path in self.objects:
            return web.json_response(self.objects[path])
        inside = [o for p, o in self.objects.items() if p.rpartition("/")[0] == path]
        if inside or path.endswith("s"):
            return web.json_response({"items": inside, "metadata": {}})
        return web.json_response({"reason": "NotFound"}, status=404)

    def _create(self, path: str, body: Object) -> web.Response:
        key = f"{path}/{body['metadata']['name']}"
        if key in self.objects:
            return web.json_response({"reason": "AlreadyExists"}, status=409)
        return self._store(key, body, 201)

    def _replace(self, key: str, body: Object) -> web.Response:
        if self.objects[key]["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            return web.json_response({"reason": "Conflict"}, status=409)
        return self._store(key, body, 200)

    def _apply(self, key: str, body: Object) -> web.Response:
        """Server-side apply as far as tests without a real server need it.

        Make, or set what the body says.
        """
        found = self.objects.get(key)
        if found is None:
            return self._store(key, body, 201)
        exactly = {name: body["metadata"].get(name) for name in ("uid", "resourceVersion")}
        if any(value not in {None, found["metadata"][name]} for name, value in exactly.items()):
            return web.json_response({"reason": "Conflict"}, status=409)
        meta = found["metadata"] | body["metadata"]
        return self._store(key, found | body | {"metadata": meta}, 200)

    def _store(self, key: str, body: Object, status: int) -> web.Response:
        meta = (
            {"uid": key, "generation": 1} | body["metadata"] | {"resourceVersion": str(next(self._versions))}
        )
        self.objects[key] = body | {"metadata": meta}
        return web.json_response(self.objects[key], status=status)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str]:
        """Its address while the block runs."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()
