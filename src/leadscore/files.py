"""Files that appear whole or not at all, folders for a while, and what killed processes left of either.

Whatever is being written carries a lock (flock(2)) of the process that writes it, which the kernel frees when
the process ends, however it ends. So the next writer knows which leftovers are nobody's, and removes only
those. All functions raise plain OSErrors: the caller knows what the file is for.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_TEMPORARY: Final = ".leadscore.tmp"


def read_file(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        OSError: It cannot be read, or is longer; `strerror` says which.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(None, f"it is longer than the {limit} bytes allowed", str(path))
    return data


def replace_file(path: Path, content: bytes, *, keep_owner: bool = False, sync: bool = True) -> None:
    """Give a file new content: after a crash it has either the old or the new one.

    Args:
        path: The file; made if it does not exist.
        content: Its new content.
        keep_owner: It stays its owner's and group's with its mode; a new one is for its owner only.
        sync: Whether to wait for the disk. Without it a loss of power may leave an empty file (a crash of the
            process may not): for what is written many times a second and made anew when it is damaged.

    Raises:
        OSError: It cannot be written, or (`keep_owner`) not given to its owner; the file is as it was.
    """
    with replacing(path, sync=sync) as temporary:
        if keep_owner:
            _copy_owner(path, temporary)
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Generator[Path]:
    """A temporary file beside `path` that replaces it when the block ends well.

    Its bytes are on disk by then (`sync`).

    When the block fails, the temporary file is removed and `path` is untouched. What killed
    writers left in the folder is removed first.
    """
    _sweep(path.parent, lambda name: name.startswith(".") and name.endswith(_TEMPORARY))

    def make() -> tuple[Path, int]:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
        return temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    temporary, lock = _owned(make)
    try:
        yield temporary
        if sync:
            _sync(temporary)
        temporary.replace(path)
        if sync:
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Generator[Path]:
    """A new folder for its owner only, removed with all that is in it when the block ends.

    Args:
        parent: Made if it does not exist.
        prefix: Of its name; folders with it whose processes are gone are removed first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent, lambda name: name.startswith(prefix))

    def make() -> tuple[Path, int]:
        folder = parent / f"{prefix}{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        return folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    folder, lock = _owned(make)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _owned(make: Callable[[], tuple[Path, int]]) -> tuple[Path, int]:
    """Make something and lock it, again if a sweep found it in the moment between."""
    while True:
        path, descriptor = make()
        with suppress(OSError):  # a file system without locks: there a sweep does not get one either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _sweep(parent: Path, ours: Callable[[str], bool]) -> None:
    """Remove leftovers, as far as they can be removed: whoever comes next tries again."""
    with suppress(OSError):
        for path in tuple(parent.iterdir()):
            if ours(path.name):
                _remove_if_orphaned(path)


def _remove_if_orphaned(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is(path, descriptor):
            return
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:  # somebody writes it, or it is not ours to remove
        return
    finally:
        os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Whether the name still means what the descriptor does."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _copy_owner(source: Path, target: Path) -> None:
    try:
        found = source.stat()
    except FileNotFoundError:
        target.chmod(0o600)
        return
    own = target.stat()
    if (found.st_uid, found.st_gid) != (own.st_uid, own.st_gid):
        os.chown(target, found.st_uid, found.st_gid)
    target.chmod(stat.S_IMODE(found.st_mode))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
