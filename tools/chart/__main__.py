"""Make values.schema.json and the README's table from values.yaml: `python -m tools.chart [--check]`."""

from __future__ import annotations

import sys
from pathlib import Path

from leadscore.errors import LeadScoreError
from tools.chart.readme import readme_with
from tools.chart.schema import schema_of
from tools.chart.values import read_values

CHART = Path(__file__).parents[2] / "charts" / "lead-scoring"


def made_from(chart: Path) -> dict[Path, str]:
    """Every file that is made from values.yaml, with what it should hold."""
    values = read_values((chart / "values.yaml").read_text())
    readme = chart / "README.md"
    return {
        chart / "values.schema.json": schema_of(values),
        readme: readme_with(values, readme.read_text()),
    }


def stale(chart: Path) -> list[str]:
    """Names of the files that are not what values.yaml makes of them."""
    return [
        path.name for path, text in made_from(chart).items() if not path.exists() or path.read_text() != text
    ]


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which are not fresh."""
    try:
        if "--check" in arguments:
            old = stale(CHART)
            if old:
                print(f"not fresh: {', '.join(old)}. Run: python -m tools.chart", file=sys.stderr)
            return 1 if old else 0
        for path, text in made_from(CHART).items():
            path.write_text(text)
    except LeadScoreError as error:
        print(f"{error.message}\nhint: {error.hint}", file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
