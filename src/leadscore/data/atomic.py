"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from leadscore.errors import TableError, UnavailableError

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """A temporary path beside `path` that takes its place when the block ends well.

    The bytes are on disk before the rename, so that after a crash the name holds either the old file or the
    whole new one. When the block fails, the temporary file is removed and `path` is untouched.

    Raises:
        TableError: The folder does not exist or may not be written.
        UnavailableError: The disk is full, the quota is used up, or the write failed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
