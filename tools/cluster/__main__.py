"""`python -m tools.cluster up | down | status | run`: what `make cluster-…` and `make test` run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tools.cluster import commands
from tools.cluster.addons.install import AddonStatus, status
from tools.cluster.during import choose, impossible, run_during
from tools.cluster.errors import ClusterError
from tools.cluster.steps import Steps
from tools.cluster.up import INGRESS_PORT, PROMETHEUS_PORT, Target, down, target, up

notes = Console(stderr=True, soft_wrap=True)


def main() -> int:
    """Run one command; 0 when it is done, 1 when the cluster is not ready or a step failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.cluster", description="A real Kubernetes on this machine."
    )
    parser.add_argument("command", choices=("up", "down", "status", "run"))
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument(
        "during", nargs="*", help="for `run`: a command, after `--`; the cluster is up meanwhile"
    )
    arguments = parser.parse_args()
    if bool(arguments.during) != (arguments.command == "run"):
        parser.error("`run`, and only `run`, takes a command: run -- COMMAND …")
    try:
        if arguments.command == "run":
            return _run(arguments.during)
        return {"up": _up, "down": _down, "status": _status}[arguments.command](as_json=arguments.json)
    except ClusterError as error:
        notes.print(f"[red]error:[/red] {error.message}", highlight=False)
        if error.hint:
            notes.print(f"hint: {error.hint}", highlight=False)
        return 1
    except KeyboardInterrupt:
        notes.print("Interrupted; run the command again, it takes up what is complete.")
        return 130


def _up(*, as_json: bool) -> int:
    steps = Steps(notes)
    chosen = up(steps)
    notes.print(f"Ready after {steps.total:.1f} s.", highlight=False)
    if as_json:
        _emit({"steps": [asdict(step) for step in steps.done], "seconds": steps.total, **_where(chosen)})
    elif not chosen.given:
        print(f"export KUBECONFIG={chosen.cluster.kubeconfig}")
        if (folder := commands.link()) is not None:
            print(
                f"export PATH={folder}:$PATH  # kubectl, helm, kubectl argo rollouts: "
                "of this cluster's versions"
            )
        print(f"# ingress: http://127.0.0.1:{INGRESS_PORT}  Prometheus: http://127.0.0.1:{PROMETHEUS_PORT}")
    return 0


def _down(*, as_json: bool) -> int:
    steps = Steps(notes)
    found = down(steps)
    if as_json:
        _emit({"deleted": found, "steps": [asdict(step) for step in steps.done]})
    elif not found:
        notes.print("There is nothing of ours to take down.")
    return 0


def _run(command: list[str]) -> int:
    choice = choose(impossible(), os.environ)
    if choice.action == "run":
        return run_during(Steps(notes), command)
    if choice.action == "skip":
        notes.print(f"[yellow]SKIPPED[/yellow] the cluster's tests: {choice.reason}", highlight=False)
        return 0
    notes.print(f"[red]error:[/red] CI runs the cluster's tests. {choice.reason}", highlight=False)
    return 1


def _status(*, as_json: bool) -> int:
    chosen = target()
    answers = chosen.cluster.succeeds("get", "--raw", "/readyz")
    addons = status(chosen.cluster) if answers else []
    ready = answers and all(addon.available for addon in addons)
    if as_json:
        _emit(
            {
                "ready": ready,
                "answers": answers,
                "addons": [asdict(addon) for addon in addons],
                **_where(chosen),
            }
        )
    elif not answers:
        notes.print("No cluster answers. `make cluster-up` makes one.")
    else:
        Console().print(_table(addons))
    return 0 if ready else 1


def _where(chosen: Target) -> dict[str, Any]:
    if chosen.given:
        return {"kubeconfig": chosen.cluster.kubeconfig, "given": True}
    return {
        "kubeconfig": chosen.cluster.kubeconfig,
        "given": False,
        "ingress": f"http://127.0.0.1:{INGRESS_PORT}",
        "prometheus": f"http://127.0.0.1:{PROMETHEUS_PORT}",
    }


def _table(addons: list[AddonStatus]) -> Table:
    table = Table("add-on", "available", "image")
    for addon in addons:
        table.add_row(addon.name, "yes" if addon.available else "no", addon.image)
    return table


def _emit(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    sys.exit(main())
