"""Words for alerts that reach people: a release whose monitor delivers, and what has arrived where."""

from __future__ import annotations

from typing import Final, Self

import httpx
from tests.e2e.scenario import alerts, prometheus
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.kube import MONITOR
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.receivers import Receivers
from tests.e2e.scenario.then import Then
from tests.e2e.scenario.when import When
from tools.cluster.up import INGRESS_PORT

_OURS: Final = {"Sec-Fetch-Site": "same-origin"}


class ToldGiven(Given):
    """Beginnings."""

    receivers: Receivers

    def channels(self, receivers: Receivers) -> ToldGiven:
        """Alerts go to these from now on."""
        self._scene.notes["receivers"] = receivers
        return self

    def stable(self, version: int) -> ToldGiven:
        """A healthy release that serves this version alone."""
        super().stable(version)
        return self

    def load(self, rate: float = 25, *, bulk_share: float = 0.3) -> ToldGiven:
        """A constant rate from outside."""
        super().load(rate, bulk_share=bulk_share)
        return self

    @property
    def when(self) -> ToldWhen:
        """Something happens."""
        return ToldWhen(self._scene)


class ToldWhen(When):
    """Things that happen to deliveries."""

    def slack_is_busy(self, *, busy: bool = True) -> Self:
        """Slack answers 429 from now on, or takes messages again."""
        self._receivers.slack_is_busy = busy
        return self

    def slack_has_refused(self) -> Self:
        """Wait until a message was refused."""
        before = self._receivers.slack_refused
        wait_until(lambda: self._receivers.slack_refused > before, seconds=60, what="a refused message")
        return self

    def broken(self, version: int) -> Self:
        """A version whose service fails every third request, as `helm upgrade` brings it."""
        self.new_version(version, fault="errors")
        return self

    def taken_back(self) -> Self:
        """`kubectl argo rollouts undo`."""
        self.undone()
        return self

    @property
    def then(self) -> ToldThen:
        """What must be so afterwards."""
        return ToldThen(self._scene)

    @property
    def _receivers(self) -> Receivers:
        found: Receivers = self._scene.notes["receivers"]
        return found


class ToldThen(Then):
    """Claims about what has arrived."""

    @property
    def when(self) -> ToldWhen:
        """Something else happens."""
        return ToldWhen(self._scene)

    @property
    def _receivers(self) -> Receivers:
        found: Receivers = self._scene.notes["receivers"]
        return found

    def prometheus_fires(self, alert: str) -> Self:
        """The cluster's Prometheus, by the chart's rule."""
        namespace = self._scene.kube.namespace
        wait_until(
            lambda: bool(alerts.firing(namespace, {alert})), seconds=120, what=f"{alert} in Prometheus"
        )
        return self

    def pagerduty_and_mail_have(self, alert: str, action: str = "trigger", *, seconds: float = 180) -> Self:
        """Both were told that it fires (`trigger`) or that it is over (`resolve`)."""
        wait_until(
            lambda: bool(self._events(alert, action) and self._mails(alert, action)),
            seconds=seconds, what=f"{action} of {alert} by PagerDuty and mail",
        )  # fmt: skip
        return self

    def slack_has(self, alert: str, action: str = "trigger", *, seconds: float = 180) -> Self:
        """Slack was told."""
        wait_until(
            lambda: bool(self._posts(alert, action)), seconds=seconds, what=f"{action} of {alert} in Slack"
        )
        return self

    def slack_has_nothing(self) -> Self:
        """It refuses what it is sent."""
        assert self._receivers.slack == []
        return self

    def each_was_told_once(self, alert: str) -> Self:
        """That it fires and that it is over, each receiver once each; and of no other critical alert."""
        for action in ("trigger", "resolve"):
            counts = {
                "pagerduty": len(self._events(alert, action)),
                "mail": len(self._mails(alert, action)),
                "slack": len(self._posts(alert, action)),
            }
            assert counts == dict.fromkeys(counts, 1), (action, counts)
        everything = self._receivers.pagerduty
        assert len(everything) == 2, [(e["event_action"], e.get("payload")) for e in everything]
        assert len({event["dedup_key"] for event in everything}) == 1
        assert len(self._receivers.mails) == 2, [mail["Subject"] for mail in self._receivers.mails]
        return self

    def the_alert_carries_its_runbook(self, alert: str) -> Self:
        """In the mail that says that it fires."""
        (mail,) = self._mails(alert, "trigger")
        assert f"{alert}.md" in str(mail.get_payload(decode=True), "utf-8")
        return self

    def no_address_is_in_the_log(self) -> Self:
        """Where messages go is a secret, of which the monitor says nothing."""
        said = self._scene.kube.run("logs", f"--selector={MONITOR}", "--container=monitor", "--tail=-1")
        assert "delivered" in said or len(said) > 100
        for name, value in self._receivers.channels().items():
            assert value not in said, f"{name} is in the monitor's log"
        return self

    # --- the console ----------------------------------------------------------------------------------------

    def the_console_sends_strangers_to_the_door(self, host: str) -> Self:
        """Who has not signed in sees the form, wherever they wanted to go."""
        with _browser(host) as browser:
            wait_until(lambda: browser.get("/sign-in").status_code == 200, seconds=60, what="the console")
            reply = browser.get("/releases", headers={"Accept": "text/html"})
            assert reply.is_redirect, reply.status_code
            assert reply.headers["Location"].startswith("/sign-in")
            assert browser.get("/_dash-layout").status_code in {302, 303, 401}
            assert browser.post("/sign-in", data={"key": "lsk_wrong"}, headers=_OURS).status_code == 401
        return self

    def the_console_lets_in(self, host: str, key: bytes) -> Self:
        """A person with a key of their own sees pages."""
        with _browser(host) as browser:
            asked = {"key": key.decode(), "next": "/releases"}
            reply = browser.post("/sign-in", data=asked, headers=_OURS)
            assert reply.status_code == 303, reply.text
            assert browser.get("/releases").status_code == 200
            assert browser.get("/_dash-layout").status_code == 200
        wait_until(
            lambda: prometheus.by("kind", self._of("leadscore_console_sign_ins_total")).get("key", 0) >= 1,
            seconds=60, what="the sign-in in Prometheus",
        )  # fmt: skip
        return self

    def what_it_shows_is_counted(self) -> Self:
        """The roll-ups follow the log, and know the version's profile from its image."""
        wait_until(
            lambda: (prometheus.scalar(f"sum({self._of('leadscore_rollup_predictions_total')})") or 0) > 0,
            seconds=60, what="counted predictions",
        )  # fmt: skip
        behind = f"max({self._of('leadscore_rollup_lag_seconds')})"
        wait_until(lambda: prometheus.scalar(behind) is not None, seconds=60, what="how far behind they are")
        lag = prometheus.scalar(behind)
        assert lag is not None
        self._scene.figure("roll-ups behind the store", lag, "s", at_most=5)
        features = int(self._scene.release.psql("SELECT count(DISTINCT feature) FROM rollup_features"))
        assert features > 5, f"{features} features are counted"
        return self

    def _of(self, metric: str) -> str:
        return f'{metric}{{namespace="{self._scene.kube.namespace}"}}'

    def _events(self, alert: str, action: str) -> list[dict[str, object]]:
        keys = {
            e["dedup_key"] for e in self._receivers.pagerduty if e.get("payload", {}).get("class") == alert
        }
        return [
            e for e in self._receivers.pagerduty if e["event_action"] == action and e["dedup_key"] in keys
        ]

    def _mails(self, alert: str, action: str) -> list[object]:
        return [
            mail
            for mail in self._receivers.mails
            if f"{alert}.md" in str(mail.get_payload(decode=True), "utf-8")
            and _is(str(mail["Subject"]), action)
        ]

    def _posts(self, alert: str, action: str) -> list[object]:
        return [
            post
            for post in self._receivers.slack
            if f"{alert}.md" in post["text"] and _is(post["text"].splitlines()[0], action)
        ]


def _is(title: str, action: str) -> bool:
    """Whether a title says that an alert fires, or that it is over."""
    return ("Over: " in title) == (action == "resolve") and "[critical]" in title


def _browser(host: str) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{INGRESS_PORT}", headers={"Host": host}, timeout=20)
