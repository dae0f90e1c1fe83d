"""CRM targets in the chart: a file without secrets, credentials as folders, one key for webhooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.chart import Chart, Manifest, environment

from leadscore.crm.targets import parse_targets

One = Callable[..., Manifest]
SEEN = ("console.enabled=true", "monitor.enabled=true")
TABLE = 'crm.targets=[{"name":"warehouse","kind":"table"}]'
SF = '{"name":"sf","kind":"salesforce","existingSecret":"sf"}'


def template(one: One, name: str, *settings: str, values: str = "") -> Manifest:
    return one("Deployment", *settings, values=values, ending=f"-{name}")["spec"]["template"]


def mounted(pod: Manifest, folder: str) -> Manifest:
    """The volume that is mounted there, as a whole."""
    (mount,) = (m for m in pod["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == folder)
    assert "subPath" not in mount, "a file mounted by subPath would never see a change"
    (volume,) = (v for v in pod["spec"]["volumes"] if v["name"] == mount["name"])
    return volume


def test_targets_are_a_file_that_leadscore_reads_without_secrets(one: One) -> None:
    data = one("ConfigMap", values="all-options", ending="-crm")["data"]
    monitor = template(one, "monitor", values="all-options")
    file = Path(environment(monitor)["LEADSCORE_CRM"])
    assert mounted(monitor, str(file.parent))["configMap"] == {"name": "leads-crm"}
    targets = parse_targets(data[file.name].encode(), file.name).targets
    assert [target.kind for target in targets] == ["salesforce", "table"]
    assert "existingSecret" not in data[file.name]


def test_credentials_are_folders_so_that_a_rotated_secret_needs_no_restart(one: One) -> None:
    data = one("ConfigMap", values="all-options", ending="-crm")["data"]
    folder = parse_targets(data["crm.yaml"].encode(), "crm.yaml").targets[0].credentials
    volume = mounted(template(one, "monitor", values="all-options"), folder)
    # Without the Secret its target is stopped; alerts go on.
    assert volume["secret"] == {"secretName": "crm-salesforce", "defaultMode": 0o440, "optional": True}


def test_only_the_monitor_has_credentials(chart: Chart) -> None:
    holders = [
        m["metadata"]["name"]
        for m in chart.render("operator.enabled=true", values="all-options")
        if "'secretName': 'crm-salesforce'" in str(m)
    ]
    assert holders == ["leads-monitor"]


def test_console_and_monitor_sign_with_one_key_that_outlives_both(one: One) -> None:
    secret = one("Secret", *SEEN, ending="-crm-key")
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    for name in ("console", "monitor"):
        pod = template(one, name, *SEEN)
        file = Path(environment(pod)["LEADSCORE_CRM_KEY"])
        known = mounted(pod, str(file.parent))["secret"]
        assert known["secretName"] == secret["metadata"]["name"]
        assert [(item["key"], item["path"]) for item in known["items"]] == [(*secret["data"], file.name)]


def test_private_networks_of_endpoints_are_those_that_are_listed(one: One) -> None:
    told = environment(template(one, "monitor", values="all-options"))
    assert told["LEADSCORE_WEBHOOK_NETWORKS"] == "10.7.0.0/16"
    assert "LEADSCORE_WEBHOOK_NETWORKS" not in environment(template(one, "monitor", *SEEN))


def test_tables_are_written_after_the_night_and_only_where_there_are_some(chart: Chart, one: One) -> None:
    spec = one("CronJob", values="all-options", ending="-crm-publish")["spec"]
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["crm", "publish"]
    assert "LEADSCORE_CRM" in [entry["name"] for entry in container["env"]]
    names = [m["metadata"]["name"] for m in chart.render("crm.targets=null", values="all-options")]
    assert "leads-batch" in names
    assert "leads-crm-publish" not in names


def test_the_operator_knows_which_targets_there_are(one: One) -> None:
    pod = template(one, "operator", "operator.enabled=true", values="all-options")
    assert Path(environment(pod)["LEADSCORE_CRM"]).name == "crm.yaml"
    assert "LEADSCORE_CRM" not in environment(template(one, "operator", "operator.enabled=true"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ((f"crm.targets=[{SF}]",), "Set monitor.enabled=true"),
        ((*SEEN, TABLE), "Set batch.enabled=true"),
        ((*SEEN, f"crm.targets=[{SF},{SF}]"), "two targets sf"),
        ((*SEEN, 'crm.targets=[{"name":"sf","kind":"salesforce"}]'), "Set existingSecret"),
        ((*SEEN, 'crm.targets=[{"name":"S F","kind":"table"}]'), "is no name of a target"),
        ((*SEEN, 'crm.targets=[{"name":"sf","kind":"hubspot","credentials":"/x"}]'), "Set existingSecret"),
        ((*SEEN, f"crm.targets=[{SF}]"), "Set networkPolicy.crmEgress"),
    ],
)
def test_what_cannot_work_is_refused(chart: Chart, settings: tuple[str, ...], sentence: str) -> None:
    assert sentence in chart.refusal(*settings)
