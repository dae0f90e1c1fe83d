"""Words for alerts that reach people: a release whose monitor delivers, and what has arrived where."""

from __future__ import annotations

from typing import Self

from tests.e2e.scenario import alerts
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.receivers import Receivers
from tests.e2e.scenario.then import Then
from tests.e2e.scenario.when import When

_MONITOR = "app.kubernetes.io/component=monitor"


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

    def the_monitor_is_killed(self) -> Self:
        """Its pod is gone at once, whatever it was doing; another takes its place."""
        kube = self._scene.kube
        before = {pod["metadata"]["name"] for pod in self._scene.release.pods("monitor")}
        kube.run("delete", "pods", f"--selector={_MONITOR}", "--force", "--grace-period=0")
        wait_until(
            lambda: {p["metadata"]["name"] for p in self._scene.release.pods("monitor")} - before,
            seconds=60, what="another monitor",
        )  # fmt: skip
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
