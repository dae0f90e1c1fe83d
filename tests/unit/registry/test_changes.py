"""A process that dies between any two calls to MLflow leaves a state that the next call completes."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscore.errors import ConflictError
from leadscore.registry.backend import Backend
from leadscore.registry.changes import Author, Changes
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home

AUTHOR = Author("tester", "because")


class _DiedError(Exception):
    """Stands for SIGKILL."""


class DyingBackend:
    """The real backend, until `writes` more writes have been done."""

    def __init__(self, backend: Backend, writes: int) -> None:
        self._backend = backend
        self._left = writes

    def __getattr__(self, name: str) -> object:
        call = getattr(self._backend, name)
        if not name.startswith("set_"):
            return call

        def write(*arguments: object) -> None:
            if self._left == 0:
                raise _DiedError
            self._left -= 1
            call(*arguments)

        return write


def _dies_after(home: Home, writes: int) -> Changes:
    return Changes(DyingBackend(Backend.open(home), writes), home.root / "registry.lock")  # type: ignore[arg-type]


@pytest.mark.parametrize("writes", range(8))
def test_a_promotion_that_dies_has_happened_completely_or_not_at_all(
    three: ModelRegistry, home: Home, writes: int
) -> None:
    try:
        _dies_after(home, writes).promote("leads", 2, AUTHOR)
        finished = True
    except _DiedError:
        finished = False
    three.repair("leads")
    state = {v.version: (v.aliases, v.stage) for v in three.versions("leads")}
    recorded = [d.reason for d in three.get("leads", 2).decisions if d.action == "promote"]
    if state[2][0] == ("champion",):
        assert state == {3: ((), "None"), 2: (("champion",), "Production"), 1: (("previous",), "None")}
        assert recorded == ["because"]
    else:
        assert not finished
        assert state == {3: ((), "None"), 2: (("challenger",), "Staging"), 1: (("champion",), "Production")}
        assert recorded == []


@pytest.mark.parametrize("writes", range(1, 6))
def test_the_next_change_completes_a_dead_one_first(three: ModelRegistry, home: Home, writes: int) -> None:
    with pytest.raises(_DiedError):
        _dies_after(home, writes).promote("leads", 2, AUTHOR)
    promoted = three.resolve("leads").version == 2
    three.promote("leads", 3)
    assert three.resolve("leads").version == 3
    assert three.resolve("leads@previous").version == (2 if promoted else 1)
    assert three.repair("leads").aliases == {}


def test_a_change_on_another_machine_at_the_same_moment_conflicts(three: ModelRegistry, home: Home) -> None:
    backend = Backend.open(home)

    class Racing(DyingBackend):
        """Another machine, which our lock does not reach, promotes 3 right after our pending note."""

        def __getattr__(self, name: str) -> object:
            call = getattr(backend, name)
            if name != "set_model_tag":
                return call

            def note(*arguments: object) -> None:
                call(*arguments)
                backend.set_alias("leads", "champion", 3)

            return note

    ours = Changes(Racing(backend, 99), home.root / "registry.lock")  # type: ignore[arg-type]
    with pytest.raises(ConflictError, match="at this moment"):
        ours.promote("leads", 2, AUTHOR)
    assert three.resolve("leads").version == 3


def test_aliases_moved_by_hand_in_mlflow_get_their_stages_back(three: ModelRegistry, home: Home) -> None:
    Backend.open(home).set_alias("leads", "champion", 3)
    plan = three.repair("leads")
    assert plan.stages == {3: "Production", 1: "None"}
    assert three.repair("leads").stages == {}


def test_a_killed_publication_can_be_repeated(
    registry: ModelRegistry, home: Home, artefacts: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Backend, "version", lambda *_: (_ for _ in ()).throw(_DiedError()))
        with pytest.raises(_DiedError):
            registry.publish(artefacts[0], "leads", alias="champion")
    assert ModelRegistry(home).publish(artefacts[0], "leads", alias="champion").version == 1
