"""Watching: what ends it, what does not, and that nothing is promoted but what was healthy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tools.deploy import __main__ as command
from tools.deploy import flow
from tools.deploy.errors import DeploymentFailedError, NeedsPersonError, StillRunningError
from tools.deploy.target import Target
from tools.deploy.verdict import State, Verdict

from leadscore.errors import ConflictError, NotFoundError, UnavailableError

TARGET, VALUES = Target("ns", "leads"), Path("values.yaml")
GOING, DONE = Verdict(State.PROGRESSING, 8, weight=10), Verdict(State.HEALTHY, 8)
ABORTED = Verdict(State.FAILED, 8, "RolloutAborted", revision="new")
Script = Callable[..., list[str]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Make `look` answer these in order (the last one for good); returns what is said."""

    def script(*answers: Verdict | Exception) -> list[str]:
        left: Iterator[Verdict | Exception] = iter(answers)
        last: list[Verdict | Exception] = []

        def look(_: Target) -> Verdict:
            answer = next(left, last[-1] if last else answers[-1])
            last.append(answer)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(flow, "look", look)
        monkeypatch.setattr(flow, "_reasons", lambda *_: ["error-rate Failed, measured [0.5]"])
        return []

    return script


def watch(said: list[str], **options: Any) -> Verdict:
    return flow.watch(TARGET, said.append, **{"seconds": 60, "wanted": 8, "pause": 0, **options})


def test_a_watch_ends_with_health_and_says_each_change_once(seen: Script) -> None:
    said = seen(GOING, GOING, DONE)
    assert watch(said) is DONE
    assert said == [GOING.line, DONE.line]


def test_an_abort_ends_the_watch_with_the_reasons(seen: Script) -> None:
    said = seen(GOING, ABORTED)
    with pytest.raises(DeploymentFailedError, match="registry was not touched") as failed:
        watch(said)
    assert failed.value.reasons == ("error-rate Failed, measured [0.5]",)


def test_an_inconclusive_pause_asks_for_a_person(seen: Script) -> None:
    with pytest.raises(NeedsPersonError) as unclear:
        watch(seen(Verdict(State.NEEDS_PERSON, 8)))
    assert unclear.value.reasons == ("error-rate Failed, measured [0.5]",)


def test_an_api_server_that_is_away_for_a_moment_decides_nothing(seen: Script) -> None:
    assert watch(seen(GOING, UnavailableError("x"), UnavailableError("x"), DONE)) is DONE


def test_an_api_server_that_stays_away_is_unknown_not_failed(
    seen: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "UNANSWERED_SECONDS", 0.0)
    with pytest.raises(UnavailableError):
        watch(seen(GOING, UnavailableError("x")))


def test_one_look_is_enough_for_a_verdict(seen: Script) -> None:
    assert watch(seen(DONE), seconds=0) is DONE
    with pytest.raises(StillRunningError):
        watch(seen(GOING), seconds=0)


def test_another_version_in_its_place_is_no_success(seen: Script) -> None:
    with pytest.raises(DeploymentFailedError, match="took the place"):
        watch(seen(GOING, Verdict(State.HEALTHY, 9)))


@pytest.fixture
def promoted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(command, "check_programs", lambda: None)
    monkeypatch.setattr(flow, "promote", lambda _t, version, _s, **_: found.append(version))
    return found


@pytest.mark.parametrize(
    ("answer", "code", "versions"),
    [
        (DONE, 0, [8]),
        (ABORTED, 1, []),
        (Verdict(State.NEEDS_PERSON, 8), 5, []),
        (UnavailableError("x"), 6, []),
    ],
)
def test_only_a_healthy_version_is_promoted(
    seen: Script, promoted: list[int], answer: Any, code: int, versions: list[int]
) -> None:
    seen(answer)
    assert command.main(["verdict", "--environment", "production"]) == code
    assert promoted == versions


def test_a_canary_of_days_is_neither_promoted_nor_failed(seen: Script, promoted: list[int]) -> None:
    seen(GOING)
    assert command.main(["verdict", "--environment", "production"]) == 0
    assert promoted == []


def test_where_nobody_looks_later_not_done_is_a_failure(seen: Script, promoted: list[int]) -> None:
    seen(GOING)
    assert command.main(["verdict", "--environment", "staging"]) == 6
    assert promoted == []


def applied(monkeypatch: pytest.MonkeyPatch, serving: int | None = 7) -> list[list[str]]:
    lines: list[list[str]] = []

    def helm(arguments: list[str]) -> str:
        lines.append(arguments)
        return "[]"

    monkeypatch.setattr(flow, "helm", helm)
    monkeypatch.setattr(flow, "_serving", lambda _: serving)
    monkeypatch.setattr(flow, "_written", lambda _: ("", ""))
    return lines


@pytest.mark.parametrize(
    ("live", "rendered", "steps"),
    [
        ("", "", [2]),
        ("1", "1", [2]),
        ("2", "2", [2]),
        ("2", "1", [2]),
        # Helm brought 2 and somebody went back to 1: Helm alone would send nothing.
        ("1", "2", [1, 2]),
        ("3", "2", [3, 2]),
        ("1", "", [2]),
    ],
)
def test_helm_is_told_what_is_live_where_it_would_send_nothing(
    live: str, rendered: str, steps: list[int]
) -> None:
    assert flow.steps_to(2, live, rendered) == steps


def test_a_version_that_was_undone_is_deployed_again(seen: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = applied(monkeypatch, serving=1)
    seen(DONE)
    monkeypatch.setattr(flow, "_written", lambda _: ("1", "2"))
    assert flow.deploy(TARGET, VALUES, 2, print) == 2
    asked = [word for line in lines for word in line if word.startswith("model.version=")]
    assert asked == ["model.version=1", "model.version=2"]
    assert all("model.keepLive=false" in line for line in lines if "upgrade" in line)


def test_without_a_version_the_one_that_has_the_traffic_stays(
    seen: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = applied(monkeypatch)
    # Version 8 was sent back: the workload still asks for it, and 7 serves.
    seen(ABORTED)
    assert flow.deploy(TARGET, VALUES, None, print) == 7
    assert "model.version=7" in lines[-1]


def test_a_first_deployment_names_its_version(seen: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = applied(monkeypatch, serving=None)
    seen(NotFoundError("no release"))
    with pytest.raises(NotFoundError, match="name one"):
        flow.deploy(TARGET, VALUES, None, print)
    assert lines == []
    assert flow.deploy(TARGET, VALUES, 1, print) == 1


def test_a_version_on_its_way_is_not_run_over(seen: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = applied(monkeypatch)
    seen(GOING)
    with pytest.raises(ConflictError, match="not done"):
        flow.deploy(TARGET, VALUES, 9, print)
    assert lines == []
    assert flow.deploy(TARGET, VALUES, 8, print) == 8, "the same deployment is taken up again"
    assert flow.deploy(TARGET, VALUES, 9, print, interrupt=True) == 9


def test_an_unknown_state_applies_nothing(seen: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = applied(monkeypatch)
    seen(UnavailableError("x"))
    with pytest.raises(UnavailableError):
        flow.deploy(TARGET, VALUES, 9, print)
    assert lines == []
