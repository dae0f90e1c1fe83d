"""An OCI runtime that starts runc after taking CAP_SYS_RESOURCE out of the bundle.

A machine that lacks this capability cannot grant it, and runc then fails with "unable to apply caps"; a
process without it cannot lower its oom_score_adj either. Installed as an executable by `docker.py`, only
where the capability is missing. Standard library only: it runs outside the project's environment.
"""

import json
import os
import shutil
import sys
from pathlib import Path

LACKING = "CAP_SYS_RESOURCE"


def without(process):
    """The process section of an OCI config without the capability."""
    for names in (process.get("capabilities") or {}).values():
        if LACKING in names:
            names.remove(LACKING)
    if process.get("oomScoreAdj", 0) < 0:
        process["oomScoreAdj"] = 0
    return process


def main(arguments):
    """Rewrite what runc is about to read, then become runc."""
    if "create" in arguments or "run" in arguments:
        bundle = arguments[arguments.index("--bundle") + 1] if "--bundle" in arguments else "."
        path = Path(bundle) / "config.json"
        config = json.loads(path.read_text())
        without(config["process"])
        path.write_text(json.dumps(config))
    if "exec" in arguments and "--process" in arguments:
        path = Path(arguments[arguments.index("--process") + 1])
        path.write_text(json.dumps(without(json.loads(path.read_text()))))
    runc = shutil.which("runc") or "/usr/sbin/runc"
    os.execv(runc, ["runc", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
