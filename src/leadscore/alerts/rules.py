"""Alert rules as people write them: the defaults of this package, and a file of one's own over them.

A rule says in PromQL what Prometheus is to evaluate, and names the measure that the monitor evaluates by
itself; both have the same threshold, because it stands there once.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import msgspec

from leadscore.contract.clock import CLOCK_PARTS, clock_pattern
from leadscore.documents import MAX_BYTES, read_yaml
from leadscore.durations import parse_duration
from leadscore.errors import BadInputError
from leadscore.files import read_file

FEATURE_PSI: Final = "rollups.feature_psi"
RULES_VARIABLE: Final = "LEADSCORE_ALERT_RULES"
AlertSeverity: TypeAlias = Literal["info", "warning", "critical"]
AlertUnit: TypeAlias = Literal["seconds", "share", "number"]
_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9]{2,79}$")]
_Duration: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}[smhdw]$")]
_NamePart: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,79}$")]
_THRESHOLD: Final = "{threshold}"
_CHANNEL: Final = re.compile(r"slack|email|pagerduty|other(-[1-9][0-9]{0,2})?")
_HINT: Final = "See docs/alerts.md; `leadscore alerts list` shows the rules in force."


class RulesFileError(BadInputError):
    """The file of alert rules is not one; the message names the rule."""

    code = "alert_rules_invalid"


class AlertRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One rule.

    Attributes:
        alert: Its name, and its runbook's.
        severity: Who is told: see `AlertRules.levels`.
        summary: What is wrong, in one sentence (Prometheus fills in `{{ $labels.… }}`); `{threshold}` stands
            for the threshold with its unit, without its sign.
        people: What it means for people.
        query: PromQL of the number that is compared with the threshold; `$COMPARED` stands for a matcher of
            the features that `without` leaves in.
        only: PromQL that is put after the comparison (`and …`): when it is worth looking.
        expr: Whole PromQL, where there is no number to compare.
        count: PromQL of how many the number counts.
        measure: Name of the number that the monitor reads by itself; see `alerts.measures`.
        without: Ends of the names of features that are not compared, because they follow the clock.
        above: Wrong above it.
        below: Wrong below it.
        certain: Only if the whole interval of the number is beyond `neutral`.
        neutral: Where nothing has changed.
        unit: Of the number.
        duration: How long it has to be wrong (`for` in the file).
        keep: How long it has to be right before it is over.
        group_by: Labels that make an alert of its own; those of several others are told in one message.
        unless: A rule of the same group that makes this one's messages superfluous while it fires.
        page: Of the console, that shows it.
        action: What to type first.
        audience: Who else should know.
        folder: Of the chart's files: rules of the operator's and of the monitor's own metrics.
        enabled: False: left out.
    """

    alert: _Name
    severity: AlertSeverity
    summary: str
    people: str
    query: str = ""
    only: str = ""
    expr: str = ""
    count: str = ""
    measure: str = ""
    without: tuple[_NamePart, ...] = CLOCK_PARTS
    above: float | None = None
    below: float | None = None
    certain: bool = False
    neutral: float = 0.0
    unit: AlertUnit = "number"
    duration: _Duration = msgspec.field(name="for", default="0m")
    keep: _Duration = "0m"
    group_by: tuple[str, ...] = ()
    unless: str = ""
    page: str = ""
    action: str = ""
    audience: str = ""
    folder: Literal["", "operator", "monitor"] = ""
    enabled: bool = True

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.above is not None and self.below is not None:
            raise ValueError(f"{self.alert} has both above and below")
        compared = self.above is not None or self.below is not None
        if bool(self.query or self.measure) != compared:
            raise ValueError(f"{self.alert}: a query or measure and a threshold belong together")
        if not (self.query or self.expr or self.measure):
            raise ValueError(f"{self.alert} has neither query, expr nor measure")
        if self.query and self.expr:
            raise ValueError(f"{self.alert} has both query and expr")
        if compared and not math.isfinite(self.threshold or 0.0):
            raise ValueError(f"{self.alert}: a threshold is a number")
        if self.unit == "share" and abs(self.threshold or 0.0) > 1:
            raise ValueError(f"{self.alert}: the threshold is a share: write 0.05 for 5 %")
        if _THRESHOLD in self.summary and not compared:
            raise ValueError(f"{self.alert}: the summary has {_THRESHOLD}, and there is none")

    @property
    def for_us(self) -> int:
        """`for` in microseconds."""
        return round(parse_duration(self.duration, zero=True).total_seconds() * 1e6)

    @property
    def keep_us(self) -> int:
        """`keep` in microseconds."""
        return round(parse_duration(self.keep, zero=True).total_seconds() * 1e6)

    @property
    def threshold(self) -> float | None:
        """What the number is compared with."""
        return self.below if self.above is None else self.above

    @property
    def sentence(self) -> str:
        """The summary with this rule's threshold, labels still to be filled in."""
        if self.threshold is None:
            return self.summary
        return self.summary.replace(_THRESHOLD, written(abs(self.threshold), self.unit))

    @property
    def promql(self) -> str:
        """The query without features that follow the clock."""
        left_out = f'feature!~"{clock_pattern(self.without)}"' if self.without else 'feature=~".+"'
        return self.query.replace("$COMPARED", left_out)


def written(value: float | None, unit: AlertUnit) -> str:
    """A number with its unit, to three significant digits; minutes where they are whole, and two or more."""
    if value is None:
        return "unknown"
    if unit == "share":
        return f"{value * 100:.3g} %"
    if unit == "seconds":
        if 0 < abs(value) < 1:
            return f"{value * 1000:.3g} ms"
        return f"{value / 60:.0f} min" if value >= 120 and value % 60 == 0 else f"{value:.3g} s"
    return f"{value:.3g}"


class AlertRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file.

    Attributes:
        rules: Each name once.
        levels: Channels by severity; `other` stands for every channel by URL.
    """

    api_version: Literal["leadscore.dev/v1"] = msgspec.field(name="apiVersion", default="leadscore.dev/v1")
    kind: Literal["AlertRules"] = "AlertRules"
    levels: dict[AlertSeverity, tuple[str, ...]] = {}
    rules: tuple[AlertRule, ...] = ()

    @property
    def clock_parts(self) -> tuple[str, ...]:
        """Ends of the names of features that PSI is not asked of: pages and metrics leave out the same."""
        psi = (rule.without for rule in self.rules if rule.measure == FEATURE_PSI)
        return next(psi, CLOCK_PARTS)

    def named(self, alert: str) -> AlertRule | None:
        """The rule of that name, None if there is none."""
        return next((rule for rule in self.rules if rule.alert == alert), None)


def default_rules() -> AlertRules:
    """The rules that come with this release."""
    return parse_rules(files("leadscore.alerts").joinpath("rules.yaml").read_bytes(), "rules.yaml")


def load_rules(path: Path | None) -> AlertRules:
    """The defaults with a file of one's own over them.

    In that file, a rule whose name is known needs only what differs; one with a new name is added.

    Raises:
        RulesFileError: It cannot be read, or is no such file.
    """
    if path is None:
        return default_rules()
    try:
        text = read_file(path, MAX_BYTES)
    except OSError as error:
        raise RulesFileError(f"{path} cannot be read: {error.strerror}.", hint="Check its owner.") from error
    return parse_rules(text, path.name, over=default_rules())


def rules_or_defaults(path: Path | None) -> tuple[AlertRules, str]:
    """The rules of `load_rules`; of a file that is none the defaults, and what is wrong with it.

    For what must go on beside a broken file: showing alerts, looking after them, silencing.
    """
    try:
        return load_rules(path), ""
    except RulesFileError as error:
        return default_rules(), error.message


def rules_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file that `LEADSCORE_ALERT_RULES` names; None: the defaults alone."""
    named = environ.get(RULES_VARIABLE)
    return Path(named) if named else None


def parse_rules(text: bytes, origin: str, *, over: AlertRules | None = None) -> AlertRules:
    """Read a file's content, `over` the rules that it changes.

    Raises:
        RulesFileError: It is none; the message says where.
    """
    document = read_yaml(text, origin, RulesFileError, hint=_HINT)
    if not isinstance(document, dict):
        said = f"{origin} is empty" if document is None else f"{origin} is no file of alert rules"
        raise RulesFileError(f"{said}.", hint=f"`rules: []` keeps the defaults. {_HINT}")
    try:
        merged = cast("dict[str, Any]", document)
        if over is not None:
            merged = _merged(merged, over)
            for rule in merged["rules"]:
                _check_rule(rule, over)
        found = msgspec.convert(merged, type=AlertRules)
    except msgspec.ValidationError as error:
        raise RulesFileError(f"{origin} is no file of alert rules: {error}.", hint=_HINT) from error
    _check_names(found, origin)
    return msgspec.structs.replace(found, rules=tuple(rule for rule in found.rules if rule.enabled))


def _check_rule(rule: dict[str, Any], over: AlertRules) -> None:
    """Refuse one rule by its name: its place among the defaults says nothing to who wrote it.

    Raises:
        msgspec.ValidationError: What is wrong with it.
    """
    name = rule["alert"]
    try:
        msgspec.convert(rule, type=AlertRule)
    except msgspec.ValidationError as error:
        said = str(error).replace("`$.", "`").removesuffix(" - at `$`")
        if "matching regex" in said and said.endswith(("`for`", "`keep`")):
            said = f"{said.rpartition(' at ')[2]} is no duration: write 30s, 5m or 2h"
        known = [each.alert for each in over.rules]
        near = difflib.get_close_matches(str(name), known, n=2)
        if name not in known and near:
            said += f"; no default rule is called so (near: {', '.join(near)})"
        raise msgspec.ValidationError(f"the rule {str(name)[:80]}: {said}") from error


def _check_names(found: AlertRules, origin: str) -> None:
    """Refuse names that lead nowhere: nobody would be told, and nothing would say so."""
    names = [rule.alert for rule in found.rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RulesFileError(f"{origin} has two rules {twice}.", hint="Remove one.")
    for level, channels in found.levels.items():
        wrong = next((name for name in channels if not _CHANNEL.fullmatch(name)), None)
        if wrong is not None:
            raise RulesFileError(
                f"{origin}: the level {level} names {wrong[:80]!r}, which is no channel.",
                hint="Channels are email, slack, pagerduty, other (all by URL), other-1, other-2, …",
            )
    for rule in found.rules:
        if rule.unless and rule.unless not in names:
            raise RulesFileError(
                f"{origin}: the rule {rule.alert} is quiet while {rule.unless[:80]!r} fires, and there is no"
                " such rule.",
                hint=_HINT,
            )


def _merged(own: dict[str, Any], over: AlertRules) -> dict[str, Any]:
    base = cast("dict[str, Any]", msgspec.to_builtins(over))
    known: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in base["rules"]}
    changes = own.get("rules", [])
    if not isinstance(changes, list):
        raise msgspec.ValidationError("`rules` is no list")
    seen = set[str]()
    for change in cast("list[object]", changes):
        if not isinstance(change, dict) or not isinstance(cast("dict[str, Any]", change).get("alert"), str):
            raise msgspec.ValidationError("each of `rules` needs its name in `alert`")
        rule = cast("dict[str, Any]", change)
        name = rule["alert"]
        if name in seen:
            raise msgspec.ValidationError(f"two rules {name}")
        seen.add(name)
        before = dict(known.get(name, {}))
        # A threshold of the other kind takes the place of the default's.
        for this, that in (("above", "below"), ("below", "above")):
            if this in rule:
                before.pop(that, None)
        known[name] = before | rule
    levels = own.get("levels", {})
    if not isinstance(levels, dict):
        raise msgspec.ValidationError("`levels` is no mapping")
    return {**own, "levels": base["levels"] | levels, "rules": list(known.values())}


def prometheus_rule(rule: AlertRule) -> dict[str, Any]:
    """What the chart writes for Prometheus, without the name and the runbook that the template adds."""
    labels = {"severity": rule.severity} | ({"audience": rule.audience} if rule.audience else {})
    annotations = {"summary": rule.sentence, "people": rule.people}
    if rule.action:
        annotations["action"] = rule.action
    if rule.page:
        annotations["page"] = rule.page
    document: dict[str, Any] = {"expr": prometheus_expression(rule), "for": rule.duration}
    if rule.keep_us:
        document["keep_firing_for"] = rule.keep
    return {**document, "labels": labels, "annotations": annotations}


def prometheus_expression(rule: AlertRule) -> str:
    """The condition in PromQL; of a number that only the monitor knows, what it says about it."""
    if rule.expr:
        return rule.expr.strip()
    if not rule.query:
        return f'max by (rule) (leadscore_alert_firing{{rule="{rule.alert}",$MATCHER}}) == 1'
    sign = "<" if rule.above is None else ">"
    only = f"\n{rule.only.strip()}" if rule.only else ""
    return f"{rule.promql.strip()} {sign} {rule.threshold:g}{only}"
