"""Write tables whole or not at all, with an error that says why one could not be written."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from leadscore import files
from leadscore.errors import TableError, UnavailableError

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """A temporary path beside `path` that replaces it when the block ends well (`leadscore.files.replacing`).

    Raises:
        TableError: The folder does not exist or may not be written.
        UnavailableError: The disk is full, the quota is used up, or the write failed.
    """
    try:
        with files.replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> TableError | UnavailableError:
    if error.errno in _NO_SPACE:
        return UnavailableError(
            f"No space left to write {path}.", hint="Nothing was changed; free some space and try again."
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return TableError(f"Cannot write {path}: its folder does not exist.", hint="Create the folder first.")
    if isinstance(error, PermissionError | IsADirectoryError):
        return TableError(f"Cannot write {path}: {error.strerror}.", hint="Choose another path.")
    return UnavailableError(f"Cannot write {path}: {error.strerror or error}.", hint="Nothing was changed.")
