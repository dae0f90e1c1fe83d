"""What cannot work, or would silently be ignored, is refused with a sentence that says what to set."""

from __future__ import annotations

import json

import pytest
from tests.support.chart import Chart

REGISTRY = (
    "model.source=registry",
    "mlflow.enabled=true",
    "mlflow.artifactRoot=s3://b",
    "networkPolicy.enabled=false",
)
REFUSED = [
    # What `--reuse-values` makes of a release of an earlier chart.
    (("pods=null",), "Upgrade with --reset-then-reuse-values"),
    (("workload.kind=Deployment",), "analysis.enabled judges a Rollout"),
    (
        ("workload.kind=Deployment", "analysis.enabled=false", "rollout.strategy=blueGreen"),
        "rollout.strategy=blueGreen needs Argo Rollouts",
    ),
    (("rollout.strategy=blueGreen",), "a blue-green preview has none"),
    (("prometheus.address=",), "analysis.enabled needs prometheus.address"),
    (
        ("trafficRouting.provider=gatewayAPI", "trafficRouting.gatewayAPI.gateway=g", "shadow.enabled=true"),
        "provider is gatewayAPI (Traefik's Gateway API provider has no RequestMirror)",
    ),
    (
        ("trafficRouting.provider=none", "workload.replicas=10", "shadow.enabled=true"),
        "shadow.enabled mirrors requests with a TraefikService",
    ),
    (("trafficRouting.provider=gatewayAPI",), "needs a Gateway to attach to"),
    (
        ("trafficRouting.provider=none", "workload.replicas=10", "analysis.traefikMetrics=true"),
        "analysis.traefikMetrics asks for the metrics of an IngressRoute",
    ),
    (
        ("trafficRouting.provider=none", "workload.replicas=10", "trafficRouting.traefik.tlsSecret=t"),
        "tlsSecret is used by provider traefik only",
    ),
    (("trafficRouting.paths=[]",), "nothing would be routed"),
    (("trafficRouting.provider=none",), "10 % of 2 pods is less than one"),
    (
        ('rollout.steps=[{"weight":10,"duration":"1h","setHeaderRoute":{}}]',),
        "rollout.steps knows weight and duration, not setHeaderRoute",
    ),
    (('rollout.steps=[{"weight":100,"duration":"2d"}]',), "Write it in s, m or h"),
    (
        ('rollout.steps=[{"weight":50,"duration":"1h"},{"weight":10,"duration":"1h"}]',),
        "weights must grow from step to step up to 100, and 10 follows 50",
    ),
    (('rollout.steps=[{"weight":50,"duration":"1h"}]',), "ends at 50"),
    (("autoscaling.enabled=true", "autoscaling.minReplicas=9"), "minReplicas is greater"),
    (("postgresql.enabled=false",), "There is no event store"),
    (("events.existingSecret=db",), "the bundled one would hold nothing"),
    (("apiKeys.generate=false",), "there are no keys"),
    (("scoring.auth=off", "apiKeys.existingSecret=k"), "every caller would be let in"),
    (("model.source=registry",), "there is no registry"),
    (("model.source=claim",), "needs model.claim.name"),
    (("shadow.enabled=true", "model.image.tag=latest"), "one image for both"),
    (
        ("shadow.enabled=true", "model.source=claim", "model.claim.name=c", "model.claim.subPath=leads"),
        "subPath is the same for both",
    ),
    (("model.keepLive=false", "model.version=0", *REGISTRY), "names no version"),
    (('scoring.podLabels={"leadscore.dev/model-version":"9"}',), "Set model.version"),
    (
        ("spool.maxBytes=5000000000",),
        "spool.maxBytes is 5000000000 for each of 1 worker(s), and spool.size is 4Gi",
    ),
    (("spool.size=900M",), "Lower spool.maxBytes or raise spool.size"),
    (
        ('scoring.extraEnv=[{"name":"LEADSCORE_WORKERS","value":"5"}]',),
        "for each of 5 worker(s)",
    ),
    (("spool.type=existingClaim",), "needs spool.existingClaim"),
    (("spool.existingClaim=spool",), "the claim would not be used"),
    (("mlflow.enabled=true",), "needs mlflow.artifactRoot"),
    (("mlflow.enabled=true", "mlflow.artifactRoot=file:///artefacts"), "which pods do not share"),
    (
        (
            *("mlflow.enabled=true", "mlflow.artifactRoot=s3://b/p", "postgresql.enabled=false"),
            "events.existingSecret=db",
        ),
        "mlflow.enabled needs a database",
    ),
]


@pytest.mark.parametrize(("settings", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_impossible_combination_is_refused_with_a_sentence(
    chart: Chart, settings: tuple[str, ...], sentence: str
) -> None:
    assert sentence in chart.refusal(*settings)


@pytest.mark.parametrize(
    "setting",
    [
        "trafficRouting.provider=nginx",
        "workload.kind=DaemonSet",
        "workload.replicas=0",
        "rollout.scaleDownDelaySeconds=1",
        "analysis.guard.interval=2d",
        "spool.onFull=block",
        "replicas=3",
        "scoring.shutdown.preStop=3",
        "spool.size=4Gb",
        "scoring.logSample=1.5",
        "scoring.logSample=-0.5",
        "analysis.maxErrorRate=0.0",
        "analysis.maxErrorRate=0.02x",
        "analysis.maxP95Ratio=0.9",
    ],
)
def test_the_schema_refuses_what_is_no_value(chart: Chart, setting: str) -> None:
    assert "values don't meet the specifications of the schema" in chart.refusal(setting)


def test_your_own_postgresql_beside_the_bundled_one_for_mlflow_is_fine(chart: Chart) -> None:
    settings = ("events.existingSecret=db", "mlflow.enabled=true", "mlflow.artifactRoot=s3://b/p")
    assert chart.render(*settings, "networkPolicy.extraEgress=[{}]")


@pytest.mark.parametrize(
    ("setting", "written"),
    [
        ("scoring.logSample=0.25", '"0.25"'),
        ("analysis.maxErrorRate=0.015", "result[0] <= 0.015"),
        ("analysis.maxPsi=0.35", "0.35"),
        ("analysis.maxP95Ratio=1.25", "1.25"),
    ],
)
def test_a_fraction_on_the_command_line_is_a_number(chart: Chart, setting: str, written: str) -> None:
    """Helm hands it over as text."""
    assert written in json.dumps(chart.render(setting)).replace("\\", "")


def test_sizes_are_compared_as_quantities(chart: Chart) -> None:
    for size in ("1Gi", "1024Mi", "1.5G", "2097152Ki"):
        assert chart.render(f"spool.size={size}")
