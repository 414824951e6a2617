"""Cache folders of numba, the engine and matplotlib, and their replacement if they cannot be written.

In a container, in a batch job or under a service account, the home folder may be missing or read-only. PyTensor cannot
be imported then. Such cache folders are therefore replaced by a folder among the temporary files, which later runs of
the same user reuse. Its path is passed to the libraries in environment variables, which are set before the libraries
read them and which child processes inherit.
"""

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from rnnaudio.notes import note

Variables = MutableMapping[str, str]


def cache_folder(variables: Variables = os.environ) -> Path:
    """Return the user's cache folder: ``NUMBA_CACHE_DIR`` if it is set, else ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(variables.get("NUMBA_CACHE_DIR") or variables.get("XDG_CACHE_HOME") or _home(variables) / ".cache")


def replace_unwritable(variables: Variables) -> None:
    """Use :func:`temporary_folder` in place of each cache folder that cannot be written, with a note to the user.

    Sets, in ``variables``, the environment variables that name these folders, and ``HOME`` if there is no home folder.
    Does nothing if all cache folders can be written, or if no temporary folder can be made; in the second case the
    libraries fail with errors of their own.
    """
    no_home = not variables.get("HOME") and os.path.expanduser("~") == "~"  # an account without an entry in passwd
    flags = f"{'THEANO' if 'theano' in variables.get('RNNAUDIO_ENGINE', '').lower() else 'PYTENSOR'}_FLAGS"
    needed = {
        "NUMBA_CACHE_DIR": [cache_folder(variables) / "rnnaudio"],
        flags: _of_engine(variables, flags),
        "MPLCONFIGDIR": _of_matplotlib(variables),
    }
    unusable = {name: folders for name, folders in needed.items() if no_home or not all(map(can_be_written, folders))}
    if not unusable:
        return
    try:
        folder = temporary_folder()
    except OSError:
        return
    if no_home:
        variables["HOME"] = str(folder)
    for name in unusable:
        variables[name] = (
            with_flag(variables.get(name, ""), "base_compiledir", folder) if name == flags else str(folder)
        )
    what = "there is no home folder" if no_home else f"{next(iter(unusable.values()))[0]} cannot be written"
    note(f"{what}: compiled code is kept in {folder}; to choose another place set HOME or XDG_CACHE_HOME")


def can_be_written(folder: Path) -> bool:
    """Return whether files can be created in ``folder`` or, if it does not exist, whether it can be created."""
    there = next((place for place in (folder, *folder.parents) if os.path.exists(place)), folder)
    return os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)


def temporary_folder() -> Path:
    """Return this user's own folder among the temporary files of the system; it is created if it does not exist.

    If its name is taken by a link, by a file, or by a folder that others own or can write, a new folder with a random
    name is created. OSError if no folder can be created.
    """
    folder = Path(tempfile.gettempdir()) / f"rnnaudio-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        about = folder.lstat()  # compiled code is loaded from it, so it must not be one that somebody else has made
        if folder.is_symlink() or not folder.is_dir() or about.st_uid != os.geteuid() or about.st_mode & 0o022:
            return Path(tempfile.mkdtemp(prefix="rnnaudio-"))
    return folder


def flag(flags: str, name: str) -> str | None:
    """Return the value of a flag in the engine's list ``name=value,name=value``; None if absent.

    If the flag is repeated, the last value counts.
    """
    pairs = [word.partition("=") for word in flags.split(",")]
    return next((value.strip() for key, _, value in reversed(pairs) if key.strip() == name), None)


def with_flag(flags: str, name: str, value: object) -> str:
    """Return ``flags``, the engine's list ``name=value,name=value``, with the flag ``name`` set to ``value``."""
    others = [word for word in flags.split(",") if word.strip() and word.partition("=")[0].strip() != name]
    return ",".join([*others, f"{name}={value}"])


def _home(variables: Variables) -> Path:
    return Path(variables.get("HOME") or os.path.expanduser("~"))


def _of_engine(variables: Variables, flags: str) -> list[Path]:
    chosen = flag(variables.get(flags, ""), "base_compiledir")
    base = Path(os.path.expanduser(chosen)) if chosen else _home(variables) / f".{flags[: -len('_FLAGS')].lower()}"
    return [base, *base.glob("compiledir_*")]  # one may belong to root, for example after sudo


def _of_matplotlib(variables: Variables) -> list[Path]:
    if variables.get("MPLCONFIGDIR"):
        return [Path(variables["MPLCONFIGDIR"])]
    below = {"XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache"}
    return [Path(variables.get(name) or _home(variables) / usual) / "matplotlib" for name, usual in below.items()]


replace_unwritable(os.environ)
