"""Make what is made of others in the chart: `python -m tools.chart [--check]`.

From values.yaml: values.schema.json and the README's table. From the alert rules: Prometheus' rules.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from leadscore.alerts.rules import AlertRule, default_rules, prometheus_rule
from leadscore.errors import LeadScoreError
from tools.chart.readme import readme_with
from tools.chart.schema import schema_of
from tools.chart.values import read_values

CHART = Path(__file__).parents[2] / "charts" / "lead-scoring"


def made_from(chart: Path) -> dict[Path, str]:
    """Every file that is made of others, with what it should hold."""
    values = read_values((chart / "values.yaml").read_text())
    readme = chart / "README.md"
    return {
        chart / "values.schema.json": schema_of(values),
        readme: readme_with(values, readme.read_text()),
        **{
            _alerts(chart) / rule.folder / f"{rule.alert}.yaml": _text(rule) for rule in default_rules().rules
        },
    }


def stale(chart: Path) -> list[str]:
    """Names of the files that are not what they should be, or should not be there."""
    made = made_from(chart)
    old = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
    return [*old, *(path.name for path in left_over(chart, made))]


def left_over(chart: Path, made: dict[Path, str]) -> list[Path]:
    """Files of alerts that no rule makes any more."""
    return [path for path in sorted(_alerts(chart).rglob("*.yaml")) if path not in made]


def _alerts(chart: Path) -> Path:
    return chart / "files" / "alerts"


def _text(rule: AlertRule) -> str:
    return yaml.dump(prometheus_rule(rule), Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """PromQL as a block, sentences in quotes."""


def _as_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text or "{" in text or len(text) > 60 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _as_text)


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which are not fresh."""
    try:
        if "--check" in arguments:
            old = stale(CHART)
            if old:
                print(f"not fresh: {', '.join(old)}. Run: python -m tools.chart", file=sys.stderr)
            return 1 if old else 0
        made = made_from(CHART)
        for path, text in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for path in left_over(CHART, made):
            path.unlink()
    except LeadScoreError as error:
        print(f"{error.message}\nhint: {error.hint}", file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
