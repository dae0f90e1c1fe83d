"""`leadscore serve`: one model over HTTP on this machine."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

import typer

from leadscore.cli.output import console, emit, notes
from leadscore.errors import ArtefactError, BadInputError, UnavailableError
from leadscore.settings import Home

if TYPE_CHECKING:
    from subprocess import Popen

    from leadscore.cli.companions import Companions

_POLL_S: Final = 0.05
_READY_WITHIN_S: Final = 120.0
_STOPPED_WITHIN_S: Final = 60.0


@dataclass(slots=True)
class StopRequest:
    """A flag that SIGINT and SIGTERM set to end the service.

    A flag, not a KeyboardInterrupt: an exception that Python raises in a finaliser or a callback is
    printed and lost, and with it the one Ctrl-C.
    """

    to_stop: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        del number, frame
        self.to_stop = True


@dataclass(frozen=True, slots=True)
class Service:
    """What to run: `secret` is a key that callers may be shown, None if there is none or it is not known."""

    model: str | None
    host: str
    port: int
    workers: int
    auth: Literal["keys", "off"]
    key_file: Path
    secret: str | None


@dataclass(frozen=True, slots=True)
class Served:
    """What runs where: the document of `--json`."""

    url: str
    model: str
    version: str
    workers: int
    api_key: str | None


def serve(
    model: Annotated[
        str | None,
        typer.Option(
            envvar="LEADSCORE_MODEL",
            show_envvar=True,
            help="NAME, NAME@champion or NAME/7. Left out: the folder in LEADSCORE_MODEL_DIR.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; one per core at most.")] = 1,
    auth: Annotated[
        Literal["keys", "off"],
        typer.Option(envvar="LEADSCORE_AUTH", show_envvar=True, help="Whether callers need an API key."),
    ] = "keys",
    api_keys: Annotated[
        Path | None,
        typer.Option(envvar="LEADSCORE_API_KEYS", show_envvar=True, help="File of API keys."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document when ready.")] = False,
) -> None:
    """Serve a model until Ctrl-C; prints a curl that works. A first API key is made if there is none."""
    check_free(host, port)
    key_file = api_keys or Home.from_environment().api_keys
    secret = None if auth == "off" else _first_key(key_file)
    run_service(Service(model, host, port, workers, auth, key_file, secret), as_json=as_json)


def run_service(
    service: Service, *, as_json: bool = False, beside: Callable[[str], Companions] | None = None
) -> None:
    """Start the service, say when it is ready and how to call it, and stay until it ends.

    Args:
        service: What to run.
        as_json: Whether to say it as one document.
        beside: Starts what runs beside it, given its URL, once it is ready.
    """
    host, port, workers = service.host, service.port, service.workers
    environ = {**os.environ, **_model_environment(service.model), "LEADSCORE_AUTH": service.auth}
    environ["LEADSCORE_API_KEYS"] = str(service.key_file.absolute())
    command = (
        *(sys.executable, "-m", "leadscore_service.supervisor"),
        *("--host", host, "--port", str(port), "--workers", str(workers)),
        *("--exit-with-parent", str(os.getpid())),
    )
    # Logs go to standard error, so that standard output holds what the person asked for.
    process = subprocess.Popen(  # noqa: S603 - our own module, with checked arguments
        command, env=environ, stdout=sys.stderr.fileno(), start_new_session=True
    )
    asked = StopRequest()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
    companions: Companions | None = None
    try:
        if (ready := _wait_until_ready(process, url, asked)) is not None:
            served = Served(url, *ready, workers, service.secret)
            emit(served, f"{served.model}/{served.version} at {url} (Ctrl-C stops it)", as_json=as_json)
            if not as_json:
                console.print(
                    _curl(url, service.secret, service.auth), markup=False, highlight=False, soft_wrap=True
                )
            companions = None if beside is None else beside(url)
        while process.poll() is None and not asked.to_stop:
            time.sleep(_POLL_S)
            if companions is not None:
                companions.check()
        code = 0 if asked.to_stop else process.returncode
    finally:
        if companions is not None:
            companions.stop()
        _stop(process)
    if code:
        raise UnavailableError(f"The service ended with code {code}.", hint="Its log, above, says why.")


def check_free(host: str, port: int) -> None:
    """Refuse a port on which another service listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnavailableError(
                f"Cannot listen on {host}:{port}: {error.strerror}.",
                hint="Is it running already? Try another port.",
            ) from error


def _model_environment(model: str | None) -> Mapping[str, str]:
    """The model, resolved and verified before anything listens; the workers need no registry then."""
    if model is None:
        if not os.environ.get("LEADSCORE_MODEL_DIR"):
            raise BadInputError(
                "Which model?", hint="Give --model NAME@champion; see: leadscore models list."
            )
        return {}
    from leadscore.registry.store import ModelRegistry

    directory = ModelRegistry(Home.from_environment()).fetch(model)
    return {"LEADSCORE_MODEL": model, "LEADSCORE_MODEL_DIR": str(directory)}


def _first_key(path: Path) -> str | None:
    from leadscore.identity.apikeys import create_key, read_keys

    if read_keys(path):
        return None
    secret, _ = create_key(path, "first", ("score", "explain", "outcomes"))
    notes.print(f"Made a first API key in {path}; it is shown once, below.", markup=False)
    return secret


def _wait_until_ready(process: Popen[bytes], url: str, asked: StopRequest) -> tuple[str, str] | None:
    """Name and version of the model that answers; None if somebody asked to stop meanwhile."""
    import msgspec

    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if asked.to_stop:
            return None
        code = process.poll()
        if code is not None:
            raise UnavailableError(
                f"The service did not start (code {code}).", hint="Its log, above, says why."
            )
        raw = _get(f"{url}/readyz")
        if raw:
            state = msgspec.json.decode(raw, type=dict[str, str])
            if state["status"] == "ready":
                return state["model_name"], state["model_version"]
            if state["status"] == "failed":
                raise ArtefactError(state["reason"], hint="Its log, above, says more.")
        time.sleep(_POLL_S)
    raise UnavailableError(
        f"The service was not ready within {_READY_WITHIN_S:g} s.", hint="See its log, above."
    )


def _get(url: str) -> bytes:
    """The body of a local GET, whatever its status; empty if nobody listens."""
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, build_opener

    # A proxy from the environment does not know this machine's loopback.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as reply:
            return cast("bytes", reply.read())
    except HTTPError as error:
        return error.read()
    except (URLError, OSError):
        return b""


def _curl(url: str, secret: str | None, auth: str) -> str:
    import msgspec

    document = cast(
        "dict[str, dict[str, dict[str, dict[str, list[object]]]]]",
        msgspec.json.decode(_get(f"{url}/openapi.json")),
    )
    lead = msgspec.json.encode(document["components"]["schemas"]["Lead"]["examples"][0]).decode()
    parts = ["curl", "-s", f"{url}/score-lead", "-H", "Content-Type: application/json"]
    if auth == "keys":
        # In double quotes below, so that the shell fills in the reader's own key.
        parts += ["-H", f"Authorization: Bearer {secret or '$KEY'}"]
    command = " ".join(f'"{part}"' if "$KEY" in part else shlex.quote(part) for part in parts)
    return f"\n{command} \\\n  -d {shlex.quote(lead)}\n"


def _stop(process: Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
