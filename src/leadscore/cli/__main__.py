"""`python -m leadscore.cli`, where the command is not installed.

The scoring service's image has packages, not programs.
"""

from __future__ import annotations

from leadscore.cli.main import run

if __name__ == "__main__":
    run()
