"""What a person sees of a step that takes long."""

import io
import re

import pytest
from rich.console import Console
from tests.support.waiting import wait_until
from tools.cluster.steps import Steps, elapsed


def test_a_log_says_what_is_being_done_and_for_how_long():
    log = io.StringIO()
    steps = Steps(Console(file=log, force_terminal=False, width=200), every=0.02)
    with steps.step("k8s v1.36.3 built") as on_part:
        on_part("kubelet (2 of 7): 311 packages, k8s.io/api")
        wait_until(lambda: "kubelet (2 of 7)" in log.getvalue(), seconds=20, what="a line about the part")
        on_part("kubectl (6 of 7)")
        wait_until(
            lambda: "kubectl (6 of 7)" in log.getvalue(), seconds=20, what="a line about the next part"
        )
    assert re.search(
        r"k8s v1\.36\.3 built: kubelet \(2 of 7\): 311 packages, k8s\.io/api \(\d+ s\)", log.getvalue()
    )
    assert re.search(r"\d+\.\d s  k8s v1\.36\.3 built\n$", log.getvalue())
    assert [step.name for step in steps.done] == ["k8s v1.36.3 built"]


def test_a_step_that_fails_is_no_step_that_is_done():
    steps = Steps(Console(file=io.StringIO()))
    with pytest.raises(ValueError, match="no"), steps.step("one"):
        raise ValueError("no")
    assert steps.done == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (4000, "66 min 40 s")]
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert elapsed(seconds) == text
