import pytest
from tools.cluster import during
from tools.cluster.during import Choice, choose
from tools.cluster.errors import ClusterError
from tools.cluster.steps import Steps

NO_ROOT = ClusterError("No Docker daemon answers.", hint="Start Docker.")


def test_a_machine_that_can_have_a_cluster_runs_the_tests():
    assert choose(None, {}).action == "run"
    assert choose(None, {"CI": "true"}).action == "run"


def test_a_machine_that_cannot_skips_and_says_why():
    assert choose(NO_ROOT, {}) == Choice("skip", "No Docker daemon answers. Start Docker.")


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_in_ci_a_skip_is_a_failure(value):
    assert choose(NO_ROOT, {"CI": value}).action == "fail"


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_ci_switched_off_is_not_ci(value):
    assert choose(NO_ROOT, {"CI": value}).action == "skip"


class Machine:
    """What `run_during` asks for and does, remembered."""

    def __init__(self, monkeypatch, *, was_up, fails=False):
        self.done = []
        self.was_up = was_up
        monkeypatch.setattr(during.kind, "exists", lambda: was_up)
        monkeypatch.setattr(during, "target", lambda: self)
        monkeypatch.setattr(during, "up", lambda _: self._up(fails))
        monkeypatch.setattr(during, "down", lambda _: self.done.append("down"))

    given = False

    @property
    def cluster(self):
        return self

    def succeeds(self, *_):
        return self.was_up

    def _up(self, fails):
        self.done.append("up")
        if fails:
            raise NO_ROOT


def test_the_cluster_is_taken_down_after_the_command_and_the_exit_code_is_the_commands(monkeypatch):
    machine = Machine(monkeypatch, was_up=False)
    assert during.run_during(Steps(None), ["sh", "-c", "exit 3"]) == 3
    assert machine.done == ["up", "down"]


def test_a_cluster_that_was_up_stays_up(monkeypatch):
    machine = Machine(monkeypatch, was_up=True)
    assert during.run_during(Steps(None), ["true"]) == 0
    assert machine.done == ["up"]


def test_a_cluster_that_does_not_come_up_is_taken_down_and_the_error_is_kept(monkeypatch):
    machine = Machine(monkeypatch, was_up=False, fails=True)
    with pytest.raises(ClusterError, match="No Docker daemon"):
        during.run_during(Steps(None), ["true"])
    assert machine.done == ["up", "down"]
