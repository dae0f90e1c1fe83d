"""Who callers are and who may approve, as the chart tells service and operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.chart import Chart, Manifest

from leadscore.identity.oidc_settings import OidcSettings
from leadscore.identity.proxies import TrustedProxies

One = Callable[..., Manifest]
ON = ("operator.enabled=true",)
ISSUER = ("auth.oidc.issuer=https://id.example.com", "auth.oidc.audience=leadscore")


def environment(made: Manifest) -> dict[str, str]:
    (container, *_) = made["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_tokens_are_told_to_service_and_operator_in_words_that_they_understand(one: One) -> None:
    for made in (one("Rollout", *ISSUER), one("Deployment", *ON, *ISSUER, ending="-operator")):
        settings = OidcSettings.from_environment(environment(made))
        assert settings == OidcSettings(issuer="https://id.example.com", audience="leadscore")


def test_without_an_issuer_no_tokens_are_taken(one: One) -> None:
    assert OidcSettings.from_environment(environment(one("Rollout"))) is None


def test_an_issuer_needs_an_audience(chart: Chart) -> None:
    assert "auth.oidc.audience" in chart.refusal(ISSUER[0])


def test_trusted_proxies_are_networks_that_the_service_reads(one: One) -> None:
    made = one("Rollout", 'auth.trustedProxies=["10.42.0.0/16","fd00::/8"]')
    text = environment(made)["LEADSCORE_TRUSTED_PROXIES"]
    assert TrustedProxies.parse(text).client("10.42.0.7", b"192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ((), "leads-lead-scoring-api-keys"),
        (("apiKeys.existingSecret=keys",), "keys"),
        (("apiKeys.existingSecret=keys", "auth.approvers.existingSecret=approvers"), "approvers"),
    ],
)
def test_the_operator_reads_who_may_approve_from_a_secret(
    one: One, settings: tuple[str, ...], secret: str
) -> None:
    made = one("Deployment", *ON, *settings, ending="-operator")
    spec = made["spec"]["template"]["spec"]
    (volume,) = (v for v in spec["volumes"] if v["name"] == "approvers")
    assert (volume["secret"]["secretName"], volume["secret"]["optional"]) == (secret, True)
    (mount,) = (m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "approvers")
    assert environment(made)["LEADSCORE_API_KEYS"].startswith(mount["mountPath"])
