"""NaN in music, parameters and updates, in every compile mode: the command must fail and name its place."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np

from experiments.proofs.torture import toys
from experiments.proofs.torture.outcome import Count
from rnnaudio.corpus_file.layout import contents_sha256, set_texts, sha256_of, text_of
from rnnaudio.training import checkpoint

MODES = {
    "fused, mode c": {"RNNAUDIO_MODE": "c"},
    "fused, mode python": {"RNNAUDIO_MODE": "python"},
    "fused, mode numba": {"RNNAUDIO_MODE": "numba"},
    "scan, mode c": {"RNNAUDIO_MODE": "c", "RNNAUDIO_KERNEL": "scan"},
}
if find_spec("jax"):
    MODES["fused, mode jax"] = {"RNNAUDIO_MODE": "jax", "JAX_PLATFORMS": "cpu"}
SAMPLE = 12_345


def not_a_number(source: Path, folder: Path, n_modes: int = len(MODES)) -> Count:
    """Plant NaN in each of four places, in each of the first ``n_modes`` modes, and train or resume."""
    count = Count("not a number")
    for mode in [*MODES][:n_modes]:
        for place, words, expected in _planted(source, folder / "nan"):
            ended = toys.run(words, folder / "nan", environment=MODES[mode])
            missing = [word for word in expected if word not in ended.output]
            faults = [
                f"status {ended.status}" if ended.status == 0 else "",
                "traceback" if ended.has_traceback else "",
                f"not named: {', '.join(missing)}" if missing else "",
            ]
            fault = "; ".join(filter(None, faults))
            count.add(f"{place}, {mode}", f"{fault}: {ended.output[-300:]}" if fault else "")
    return count


def _planted(source: Path, folder: Path) -> Iterator[tuple[str, list[object], list[str]]]:
    """Yield (place, command, words that its message must contain); each case is prepared in the same folder."""
    for split in ("train", "valid"):
        toys.copied(source, folder, "float.h5")
        title = _plant_in_music(folder / "float.h5", split)
        words = [word if word != "corpus.h5" else "float.h5" for word in toys.train_words("frames")]
        yield f"{split} piece", words, [title, str(SAMPLE)]
    toys.copied(source, folder, "corpus.h5", "frames")
    name = _plant_in_parameter(folder / "frames" / "checkpoint.safetensors")
    yield "parameter", ["resume", "frames", "--max-updates", 2 * toys.N_UPDATES, "--import", toys.SHORTENED], [name]
    toys.copied(source, folder, "corpus.h5")
    yield "update", toys.train_words("frames", "run", "--learning-rate", 1e30), ["finite", "update", "--learning-rate"]


def _plant_in_music(path: Path, split: str) -> str:
    """Set one sample of a piece to NaN and update the checksums; returns the title of the piece."""
    with h5py.File(path, "r+") as file:
        piece = next(piece for piece in file["pieces"].values() if text_of(piece, "split") == split)
        piece[SAMPLE] = np.nan
        set_texts(piece, {"sha256": sha256_of(piece)})
        set_texts(file, {"contents_sha256": contents_sha256(file)})
        return text_of(piece, "title")


def _plant_in_parameter(path: Path) -> str:
    """Set one entry of the first parameter to NaN and update the checksum; returns the parameter's name."""
    saved = checkpoint.load(path)
    name = next(name for name in sorted(saved.arrays) if name.startswith("model/"))
    saved.arrays[name] = saved.arrays[name].copy()
    saved.arrays[name].flat[0] = np.nan
    record = saved.record | {"history": saved.extent._asdict()}
    toys.write_checkpoint(path, saved.arrays, json.dumps(record))
    return name.removeprefix("model/")
