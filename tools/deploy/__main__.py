"""`python -m tools.deploy apply | verdict`: what `make deploy` and `make deploy-verdict` run.

Exit codes are those of the `leadscore` command (docs/cli.md): 0 healthy and promoted (or judged
later, where the environment says `whenNotDone: follow`), 1 sent back, 5 needs a person or
another deployment is on its way, 6 nothing known.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from leadscore.errors import LeadScoreError
from tools.deploy import flow
from tools.deploy.cluster import check_programs
from tools.deploy.errors import DeploymentFailedError, NotHealthyError, StillRunningError
from tools.deploy.target import CHART, ENVIRONMENTS, Target, read_target

notes = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and say how it ended."""
    options = _parser().parse_args(arguments)
    try:
        outcome = _apply(options) if options.command == "apply" else _verdict(options)
    except LeadScoreError as error:
        reasons = error.reasons if isinstance(error, NotHealthyError) else ()
        _publish(options.environment, error.message, reasons)
        notes.print(f"error: {error.message}", style="red")
        for reason in reasons:
            notes.print(f"  • {reason}")
        if error.hint:
            notes.print(f"hint: {error.hint}")
        return int(error.exit_code)
    except KeyboardInterrupt:
        notes.print("Interrupted; the rollout goes on. `make deploy-verdict` judges it.")
        return 130
    _publish(options.environment, outcome)
    return 0


def _apply(options: argparse.Namespace) -> str:
    target = read_target(options.environment, options.environments)
    check_programs()
    version = flow.deploy(
        target, options.environments / options.environment / "values.yaml", options.version, _say,
        chart=options.chart, images=options.images, interrupt=options.interrupt,
    )  # fmt: skip
    return _judge(options, target, 60 * target.wait_minutes, version)


def _verdict(options: argparse.Namespace) -> str:
    check_programs()
    return _judge(
        options, read_target(options.environment, options.environments), 60 * options.wait_minutes, None
    )


def _judge(options: argparse.Namespace, target: Target, seconds: float, wanted: int | None) -> str:
    try:
        seen = flow.watch(target, _say, seconds=seconds, wanted=wanted)
    except StillRunningError as error:
        if target.when_not_done == "fail":
            raise
        _say(f"{error.message} It goes on; `make deploy-verdict ENV={options.environment}` judges it.")
        return error.message
    if seen.version is None:
        raise DeploymentFailedError("The pod template does not say which model version it serves.")
    reason = flow.reason_from(os.environ, options.environment)
    flow.promote(target, seen.version, _say, reason=reason, by=os.environ.get("GITHUB_ACTOR"))
    return seen.line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.deploy", description="Bring a model to an environment."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    apply = commands.add_parser("apply", help="bring a version to an environment, watch it, promote it")
    apply.add_argument(
        "--version", type=_version, help="model version, a number; without it the one that serves stays"
    )
    apply.add_argument("--chart", type=Path, default=CHART, help="chart folder or package")
    apply.add_argument("--images", type=Path, help="values file that names the images; without it they stay")
    apply.add_argument("--interrupt", action="store_true", help="replace a version that is on its way")
    verdict = commands.add_parser("verdict", help="judge what runs there, and promote it if it is healthy")
    verdict.add_argument("--wait-minutes", type=float, default=0, help="watch so long; 0 evaluations once")
    for command in (apply, verdict):
        command.add_argument("--environment", required=True, help="name of its folder")
        command.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="where the folders are")
    return parser


def _version(text: str) -> int | None:
    if text == "":
        return None
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a model version (a number, never an alias)")
    return int(text)


def _say(line: str) -> None:
    notes.print(line)


def _publish(environment: str, outcome: str, reasons: tuple[str, ...] = ()) -> None:
    """Put the outcome on the run's page, where CI has one."""
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        with Path(page).open("a") as file:
            file.write(flow.summary(environment, outcome, reasons))


if __name__ == "__main__":
    sys.exit(main())
