"""Export of a run's networks to ONNX files, with which programs can generate sound without this package."""

from contextlib import ExitStack
from pathlib import Path

from rnnaudio.atomic import replacing
from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Network
from rnnaudio.export.file import as_bytes, require_onnx
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.load import load, saved_recipe
from rnnaudio.runs.packs import run_folder
from rnnaudio.schema import Plain
from rnnaudio.text import visible

FORMAT = 1  # of what is stored beside the graph


def export(run_dir: Path, out: Path, *, overwrite: bool = False) -> str:
    """Write the network of a run to ``out``, an ONNX file; returns a line of text on each file written.

    run_dir: the folder of a run, a pack, or the name of a model that comes with the package. overwrite: True to
    replace existing files.

    A run may have further networks, such as the encoder of a run over codes: these are written beside ``out``, under
    its name with a suffix. All files are written, or none.

    RnnaudioError if the name of ``out`` does not end in .onnx, if a file exists (without ``overwrite``) or cannot be
    written, if there is no run, if the run cannot be exported, or if the package onnx is missing.
    """
    require_onnx()
    if out.suffix.lower() != ".onnx":
        raise RnnaudioError(f"{out}: expected a name that ends in .onnx")
    _check_absent(out, overwrite)
    with run_folder(run_dir) as folder:
        run, about = load(folder), {"format": FORMAT, "recipe": saved_recipe(folder)[0].name}
    if run.note:
        about["note"] = run.note
    networks = {_beside(out, ending): network for ending, network in run.networks().items()}
    for path in networks:
        _check_absent(path, overwrite)
    contents = {path: as_bytes(_described(network, run, about)) for path, network in networks.items()}
    with ExitStack() as stack:
        places = [stack.enter_context(replacing(path)) for path in contents]
        for place, content in zip(places, contents.values(), strict=True):
            place.write_bytes(content)
    return "\n".join(_in_words(path, networks[path], len(content)) for path, content in contents.items())


def _check_absent(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise RnnaudioError(f"{path} exists: choose another name, or replace it with --overwrite")


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(f"{out.stem}{ending}{out.suffix}")


def _described(network: Network, run: LoadedRun, about: dict[str, Plain]) -> Network:
    """Copy a network with more metadata: the entries ``about``, the sample rate, mean and standard deviation."""
    scale = {"sample_rate_hz": run.sample_rate_hz, "mean": run.scale.mean, "std": run.scale.std}
    return Network(network.graph, network.states, {**about, **scale, **network.about})


def _in_words(path: Path, network: Network, n_bytes: int) -> str:
    """Describe a file in a sentence: its size, the names of inputs and outputs, and the number of states."""
    states = {name for state in network.states for name in (state.name, state.after)}
    given, made = (
        ", ".join(port.value.name for port in ports if port.value.name not in states)
        for ports in (network.graph.inputs, network.graph.outputs)
    )
    n = len(network.states)
    kept = f", and {n} {'state' if n == 1 else 'states'}" if n else ""
    return f"wrote {visible(path)} ({n_bytes / 1e6:.2f} MB): {given} -> {made}{kept}"
