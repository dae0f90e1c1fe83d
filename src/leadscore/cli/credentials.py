"""Read a person's credential from the environment or a file, never from the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from leadscore.errors import BadInputError, UnauthorizedError

_LIMIT: Final = 64 * 1024
_KEY: Final = "LEADSCORE_API_KEY"
_TOKEN: Final = "LEADSCORE_OIDC_TOKEN"  # noqa: S105 (a variable's name)

CredentialFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help=f"File with your API key or OIDC token, - for standard input; else ${_KEY} or ${_TOKEN}.",
    ),
]


def read_credential(path: Path | None) -> bytes:
    """Return the person's API key or token.

    Raises:
        UnauthorizedError: There is none.
        BadInputError: There are two, or the file cannot be read.
    """
    if path is not None:
        credential = _from_file(path)
    else:
        found = [value for name in (_KEY, _TOKEN) if (value := os.environ.get(name))]
        if len(found) > 1:
            raise BadInputError(f"{_KEY} and {_TOKEN} are both set.", hint="Unset one of them.")
        credential = "".join(found).encode().strip()
    if not credential:
        raise UnauthorizedError(
            "Who you are is not known.",
            hint=(
                f"Set {_KEY} or give --key-file; a key is made by: leadscore keys "
                "create NAME --scope approve."
            ),
        )
    return credential


def _from_file(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(_LIMIT).strip()
        with path.open("rb") as file:
            return file.read(_LIMIT).strip()
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.", hint="Check its owner.") from error
