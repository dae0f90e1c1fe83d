"""`python -m tools.workflows`: the part of `make lint` that reads .github/workflows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tools.cluster.errors import ClusterError
from tools.workflows import actionlint
from tools.workflows.rules import findings, make_targets

ROOT = Path(__file__).parents[2]


def workflows(root: Path = ROOT) -> list[Path]:
    """The project's workflow files."""
    return sorted((root / ".github" / "workflows").glob("*.yml"))


def main() -> int:
    """Check every workflow; 1 if one has a finding, or if actionlint is missing where CI=true."""
    targets = make_targets((ROOT / "Makefile").read_text())
    found = [f"{path.name}: {what}" for path in workflows() for what in findings(path.read_text(), targets)]
    if actionlint.is_available():
        try:
            found += actionlint.problems(workflows())
        except ClusterError as error:
            found.append(f"actionlint: {error}")
    elif os.environ.get("CI") == "true":
        found.append("actionlint cannot be built: install Go 1.26 or newer")
    else:
        print("actionlint was left out: there is no Go to build it with.", file=sys.stderr)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
