"""What an object was and when: every version that the API server reports, with the time it was seen here."""

from __future__ import annotations

import codecs
import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.e2e.scenario.kube import Kube, Object


@dataclass(frozen=True, slots=True)
class Seen:
    """An object at a moment (`time.monotonic()`)."""

    at: float
    object: Object


class Watch:
    """`kubectl get --watch` of one object (or of those with a label), in the background until closed."""

    def __init__(self, kube: Kube, what: str, name: str) -> None:
        chosen = f"--selector={name}" if "=" in name or " " in name else name
        self.seen: list[Seen] = []
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            kube.command("get", what, chosen, "--watch", "--output=json"),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(kube.environment),
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read, name=f"watch {name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def until(
        self, condition: Callable[[Object], bool], *, seconds: float, what: str, since: float = 0.0
    ) -> Seen:
        """The first object since a moment for which the condition holds; AssertionError after `seconds`."""
        deadline = time.monotonic() + seconds
        looked = 0
        with self._more:
            while True:
                while looked < len(self.seen):
                    seen = self.seen[looked]
                    looked += 1
                    # The newest object may be older than `since` and still be true.
                    if (seen.at >= since or looked == len(self.seen)) and condition(seen.object):
                        return seen
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not happen within {seconds:.0f} s"
                assert self._process.poll() is None, f"the watch ended while waiting for: {what}"
                self._more.wait(min(left, 1.0))

    def _read(self) -> None:
        assert self._process.stdout is not None
        decoder, text = json.JSONDecoder(), ""
        utf8 = codecs.getincrementaldecoder("utf-8")()
        while chunk := self._process.stdout.read1(1 << 16):
            text += utf8.decode(chunk)
            while text.strip():
                try:
                    found, end = decoder.raw_decode(text.lstrip())
                except json.JSONDecodeError:
                    break
                text = text.lstrip()[end:]
                with self._more:
                    self.seen.append(Seen(time.monotonic(), found))
                    self._more.notify_all()
