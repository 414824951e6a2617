"""Files that are written completely or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from rnnaudio.errors import RnnaudioError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the same folder, which is renamed to ``path`` if the block succeeds.

    On any exception, KeyboardInterrupt included, the temporary file is removed and an existing ``path`` is unchanged.
    The order is write, fsync, rename, fsync of the folder, so that ``path`` is complete even after a system crash.

    Raises RnnaudioError in place of any OSError in the block (no space, no permission, no such folder), and if
    ``path`` is a folder.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    if path.is_dir():
        raise RnnaudioError(f"cannot write {path}: it is a folder; give the name of a file")
    try:
        temporary.touch()  # fails now, not after an hour's work, if the folder or the permission is missing
        yield temporary
        _fsync(temporary)
        os.replace(temporary, path)
        _fsync(path.parent)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RnnaudioError(
            f"cannot write {path}: {reason}; nothing was changed: fix this or choose another place and start again"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # an error here must not hide the exception raised above
            temporary.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: str | Path, content: bytes) -> Path:
    """Write ``content`` to ``path``, all or nothing (:func:`replacing`), creating missing folders; return the path.

    Raises RnnaudioError in place of any OSError.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RnnaudioError(f"cannot make the folder {path.parent}: {error.strerror}; choose another place") from error
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path
