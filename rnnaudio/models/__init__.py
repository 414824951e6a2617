"""Trained models that come with the package, as packs (:mod:`rnnaudio.runs.packs`) that are found by name.

``README.md`` in this folder states their training data and licences.
"""

from pathlib import Path

from rnnaudio.errors import RnnaudioError
from rnnaudio.registry import nearest

FOLDER = Path(__file__).parent
MODELS = {  # name of the pack without .zip: what it is, in a line
    "piano": "plays piano in the manner of Mozart's quartets, without a beat; recipe codes, 16 kHz",
}


def named(place: Path) -> Path | None:
    """Return the path of the pack of the model that ``place`` names; None if it is not the name of a model."""
    return FOLDER / f"{place}.zip" if str(place) in MODELS else None


def check(place: Path) -> None:
    """Raise RnnaudioError if ``place``, a single name, is neither an existing file or folder nor a model.

    The message suggests the most similar name of a model. A path with several parts raises nothing.
    """
    if len(place.parts) == 1 and not place.exists() and named(place) is None:
        raise RnnaudioError(
            f"{place}: no such folder or file, and no model that comes with rnnaudio; {nearest(str(place), MODELS)}"
        )


def refusal(place: Path) -> str:
    """Return a message which says that ``place`` is a model of the package, not a run, and what it can be used for.

    Empty if ``place`` is not the name of a model, or is an existing file or folder.
    """
    if named(place) is None or place.exists():
        return ""
    return (
        f"{place} is a model that comes with rnnaudio, to play (rnnaudio generate, play), to export, and to start "
        "from (train --from); expected the folder of a run of your own"
    )
