from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, detector, run

from leadscore.errors import BadInputError
from leadscore.policy.spec import DriftTrigger, PerformanceTrigger, RampStep, ScheduleTrigger, Triggers
from leadscore.policy.state import RetrainWindow
from leadscore_operator.resources import (
    CheckJob,
    DetectorSpec,
    FalseAlarmsSpec,
    ModelReleaseSpec,
    PerformanceSpec,
    PolicySpec,
    RunSpec,
    RunTemplate,
    Schedule,
    ShadowSpec,
    decode,
)
from leadscore_operator.specs.checks import cron_job
from leadscore_operator.specs.names import cron_job_name, job_name, release_name, run_name
from leadscore_operator.specs.trainings import train_job
from leadscore_operator.specs.workload import Workload
from leadscore_operator.statuses import (
    Candidate,
    Condition,
    DetectorStatus,
    GateResult,
    ModelReleaseStatus,
    PolicyDecision,
    PolicyRun,
    PolicyStatus,
    RunStatus,
    ScheduleStatus,
    VerdictStatus,
    to_wire,
)

CRDS = Path(__file__).parents[3] / "charts" / "lead-scoring" / "files" / "crds"


def pods() -> list[Manifest]:
    declared = decode(detector()["spec"], DetectorSpec, "spec")
    check = cron_job(detector(), declared, declared.schedules[0], WORKLOAD)
    window = RetrainWindow(NOW - timedelta(days=30), NOW)
    training = train_job(run(), PolicySpec(model="leads"), window, 1, WORKLOAD)
    return [check["spec"]["jobTemplate"]["spec"]["template"]["spec"], training["spec"]["template"]["spec"]]


@pytest.mark.parametrize("pod", pods())
def test_pods_have_no_token_and_meet_the_restricted_standard(pod: Manifest) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    said = [argument.partition("=")[2] for argument in container["command"]]
    assert container["terminationMessagePath"] in said


def test_names_fit_their_kinds_and_differ_by_owner() -> None:
    long = "x" * 63
    assert len(cron_job_name(long, "u", "0123456789")) <= 52
    assert len(run_name(long, "u", "k")) <= 50
    assert len(job_name("x" * 50, "u", 10)) <= 63
    assert run_name("a", "u1", "k") != run_name("a", "u2", "k")
    assert run_name("a", "u1", "k") == run_name("a", "u1", "k")
    assert release_name("My.Leads_EU", 12) == "my-leads-eu-12"


def test_a_workload_file_with_a_typo_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "workload.yaml"
    file.write_text("imgae: x\n")
    with pytest.raises(BadInputError, match="cannot be used"):
        Workload.read(file)


def schema(kind: str, *path: str, part: str = "spec") -> Manifest:
    crd = yaml.safe_load((CRDS / f"{kind}.yaml").read_text())
    node = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
    for step in path:
        node = node["items"] if step == "[]" else node["properties"][step]
    return node


@pytest.mark.parametrize(
    ("kind", "path", "struct"),
    [
        ("driftdetectors", (), DetectorSpec),
        ("driftdetectors", ("schedules", "[]"), Schedule),
        ("driftdetectors", ("falseAlarms",), FalseAlarmsSpec),
        ("driftdetectors", ("performance",), PerformanceSpec),
        ("driftdetectors", ("job",), CheckJob),
        ("retrainpolicies", (), PolicySpec),
        ("retrainpolicies", ("run",), RunTemplate),
        ("retrainpolicies", ("triggers",), Triggers),
        ("retrainpolicies", ("triggers", "drift"), DriftTrigger),
        ("retrainpolicies", ("triggers", "performance"), PerformanceTrigger),
        ("retrainpolicies", ("triggers", "schedule"), ScheduleTrigger),
        ("retrainpolicies", ("triggers", "schedule", "ramp", "[]"), RampStep),
        ("retrainruns", (), RunSpec),
        ("modelreleases", (), ModelReleaseSpec),
        ("modelreleases", ("shadow",), ShadowSpec),
    ],
)
def test_schema_and_code_know_the_same_fields_with_the_same_defaults(
    kind: str, path: tuple[str, ...], struct: type[msgspec.Struct]
) -> None:
    node = schema(kind, *path)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    assert set(node["properties"]) == set(fields)
    for name, about in node["properties"].items():
        assert about.get("description"), f"kubectl explain says nothing about {name}"
        default = fields[name].default
        if "default" in about and about["type"] not in {"object", "array"} and kind != "retrainruns":
            assert default == about["default"], name


@pytest.mark.parametrize("file", sorted(CRDS.glob("*.yaml")), ids=lambda f: f.stem)
def test_every_rule_of_a_schema_refuses_with_a_sentence(file: Path) -> None:
    def rules(node: Any) -> list[Manifest]:
        if isinstance(node, dict):
            return node.get("x-kubernetes-validations", []) + [r for v in node.values() for r in rules(v)]
        return [r for v in node for r in rules(v)] if isinstance(node, list) else []

    found = rules(yaml.safe_load(file.read_text()))
    assert found
    for rule in found:
        assert " " in rule["message"]
        assert rule["message"].endswith((".", "d."))


STATUSES: list[tuple[str, tuple[str, ...], type[msgspec.Struct]]] = [
    ("driftdetectors", (), DetectorStatus),
    ("driftdetectors", ("schedules", "[]"), ScheduleStatus),
    ("driftdetectors", ("verdicts", "[]"), VerdictStatus),
    ("retrainpolicies", (), PolicyStatus),
    ("retrainpolicies", ("decision",), PolicyDecision),
    ("retrainpolicies", ("lastRun",), PolicyRun),
    ("retrainpolicies", ("runs", "[]"), PolicyRun),
    ("retrainruns", (), RunStatus),
    ("retrainruns", ("candidate",), Candidate),
    ("retrainruns", ("gate",), GateResult),
    ("modelreleases", (), ModelReleaseStatus),
    *((kind, ("conditions", "[]"), Condition)
      for kind in ("driftdetectors", "retrainpolicies", "retrainruns", "modelreleases")),
]  # fmt: skip
PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "string"}


@pytest.mark.parametrize(("kind", "path", "struct"), STATUSES)
def test_schema_and_code_know_the_same_fields_of_a_status_of_the_same_types(
    kind: str, path: tuple[str, ...], struct: type[msgspec.Struct]
) -> None:
    node = schema(kind, *path, part="status")
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    assert set(node["properties"]) == set(fields)
    for name, about in node["properties"].items():
        assert about.get("description"), f"kubectl explain says nothing about {name}"
        kinds = {k for k in PLAIN if k in re.findall(r"\w+", str(fields[name].type))} or {"str"}
        if about["type"] not in {"object", "array"}:
            assert about["type"] in {PLAIN[k] for k in kinds}, name
            assert (about.get("format") == "date-time") == ("datetime" in kinds), name


def test_a_status_goes_to_the_server_and_back_without_what_is_none_and_with_whole_seconds() -> None:
    moment = datetime(2026, 3, 10, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    run = PolicyRun(name="leads-1", key="k", created=moment)
    wire = to_wire(PolicyStatus(runs=(run,), next_schedule=moment))
    assert wire == {
        "conditions": [],
        "runs": [{"name": "leads-1", "key": "k", "created": "2026-03-10T12:00:00Z"}],
        "nextSchedule": "2026-03-10T12:00:00Z",
    }
    assert to_wire(decode(wire, PolicyStatus, "status")) == wire


def test_a_status_that_is_none_of_ours_is_an_error_that_names_the_field() -> None:
    with pytest.raises(BadInputError, match=r"status cannot be read: .*verdicts\[0\]"):
        decode({"verdicts": [{"job": "c-1"}]}, DetectorStatus, "status")
