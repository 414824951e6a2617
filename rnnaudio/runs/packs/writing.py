"""Writing of packs, from the folder of a run."""

import hashlib
import json
import platform
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnaudio import __version__, engine
from rnnaudio.atomic import replacing, temporary_folder
from rnnaudio.audio.arrays import Array, Audio
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import as_toml, to_dict
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.load import load, saved_config
from rnnaudio.runs.packs import layout
from rnnaudio.runs.packs.arrays import halve, in_order
from rnnaudio.runs.packs.prime import save_prime
from rnnaudio.runs.primes import Primes
from rnnaudio.runs.recipe import Recipe
from rnnaudio.runs.recipes import recipe_in
from rnnaudio.runs.record import Record, SavedRun
from rnnaudio.text import in_shell, visible
from rnnaudio.training import checkpoint

KEPT = ("n_updates", "seconds", "stopping", "engine", "broke_down")
GROUPS = ("best", "model")
FIRST = Primes()
ABOUT = """\
A run of rnnaudio {version}, recipe {recipe}, of {n_parameters} parameters, at update {n_updates}.

Play it, with rnnaudio installed (this file stays packed):

    rnnaudio generate {name} out.wav --seconds 60

out.wav begins with {seconds:.2f} s of {origin}.
Another beginning: --prime-file MUSIC.wav

Go on from its parameters, with music of your own at {rate} Hz:

    rnnaudio train CORPUS.h5 NEW_RUN --from {name}

Train it anew with its settings, from an unpacked config.toml:

    rnnaudio train CORPUS.h5 NEW_RUN --config config.toml

The result has the same bits if corpus, versions and kind of processor are the same. The corpus, which is not
in here, was {corpus}.
It was trained by {trained_by}.

Licence: {licence}. LICENCES.txt has those of the music. Numbers are stored as {precision}.
pack.json lists the files with their SHA-256.
"""
MUSIC = """\
Licence of this pack: {licence}.

It was trained on the music of the split "train" and chosen by that of "valid"; its prime, unless README.txt says
otherwise, is of "test". Each piece with its split, length, title, source and licence:

{lines}
"""
UNKNOWN = "not stated"


class Form(NamedTuple):
    """Options of writing a pack.

    float16: True to store matrices in half precision, in half the space. licence: the licence under which the pack is
    passed on. overwrite: True to replace an existing file.
    """

    float16: bool = False
    licence: str = ""
    overwrite: bool = False


PLAIN = Form()


def pack(run_dir: Path, out: Path, corpus: Path | None = None, *, primes: Primes = FIRST, form: Form = PLAIN) -> str:
    """Write a pack of the run in a folder to the zip file ``out``; return a sentence on what was written.

    The pack holds the parameters with which the run plays, the files that its recipe loads, its settings, versions,
    the summary of its report unless outdated, a prime, and titles, sources and licences of the music unless the corpus
    is missing. It contains no paths of this machine. The same run, corpus, name and versions give the same bytes.

    corpus: path of the run's corpus, from which the prime is read; None: where it was in training. primes: the prime;
    by default the first one of the test split, one second long.

    RnnaudioError for a name that does not end in .zip, a file that exists, a run that cannot be loaded or has no
    corpus or prime, and a pack that is too large or cannot be written.
    """
    primes.check()
    out = Path(out)
    if out.suffix.lower() != ".zip":
        raise RnnaudioError(f"{out}: expected a name that ends in .zip")
    if out.exists() and not form.overwrite:
        raise RnnaudioError(f"{out} exists: choose another name, or replace it with --overwrite")
    run, saved = load(run_dir), SavedRun.read(run_dir)
    if run.note:
        print(f"note: {visible(run.note)}", file=sys.stderr)
    (prime,), origin = primes.read(run, corpus), primes.origin(run, corpus)
    recipe: Recipe[Any] = recipe_in(saved.settings, saved.path)
    about = _about(recipe, run, saved, origin, len(prime) / run.sample_rate_hz)
    about |= {"precision": "float16" if form.float16 else "float32", "licence": form.licence or UNKNOWN}
    with temporary_folder() as folder:
        try:
            _fill(folder, recipe, run, saved, prime)
            _write_licences(folder, run, corpus, about)
            if form.float16:
                halve(folder)
            (folder / layout.README).write_text(_readme(out.name, run, about), encoding="utf-8")
        except OSError as error:
            raise RnnaudioError(f"cannot pack {run_dir}: {error.filename}: {error.strerror}; mend this") from error
        load(folder)  # what is packed plays
        n_bytes = _write_zip(out, folder, about)
    return f"wrote {visible(out)}: {n_bytes / 1e6:.3g} MB; play it: rnnaudio generate {in_shell(out)} out.wav"


def _fill(folder: Path, recipe: Recipe[Any], run: LoadedRun, saved: SavedRun, prime: Audio) -> None:
    """Write all files of a pack to a folder, except the list of files, the licences and the readme."""
    checkpoint.save(folder / checkpoint.NAME, checkpoint.Checkpoint(_played(run, saved), _record(saved)))
    for name in recipe.files:
        if (saved.run_dir / name).exists():
            shutil.copyfile(saved.run_dir / name, folder / name)
    settings = {"recipe": recipe.name, **to_dict(saved_config(recipe, saved))}
    (folder / layout.SETTINGS).write_text(as_toml(settings), encoding="utf-8")
    summary, newest = saved.run_dir / layout.SUMMARY, saved.path
    if summary.exists() and newest.exists() and summary.stat().st_mtime >= newest.stat().st_mtime:
        shutil.copyfile(summary, folder / layout.SUMMARY)
    save_prime(folder, prime)


def _write_licences(folder: Path, run: LoadedRun, corpus: Path | None, about: Record) -> None:
    """Write titles, sources and licences of the music, as `rnnaudio corpus info` lists them.

    If the corpus is missing, a note is printed instead.
    """
    try:
        with run.open_corpus(corpus) as opened:
            lines = [piece.about(opened.sample_rate_hz, _without_folder(piece.source)) for piece in opened.pieces]
    except (RnnaudioError, OSError) as error:
        print(
            f"note: the pack does not say what music it is of, for its corpus is not there: {error}", file=sys.stderr
        )
        return
    text = MUSIC.format(licence=visible(about["licence"]), lines="\n".join(map(visible, lines)))
    (folder / layout.LICENCES).write_text(text, encoding="utf-8")


def _played(run: LoadedRun, saved: SavedRun) -> dict[str, Array]:
    """Return the saved parameters, best or last, that equal those of the loaded model; both if neither do."""
    values = run.model.get_values()
    groups = {group: saved.checkpoint.group(group) for group in GROUPS}
    same = [group for group, saved_values in groups.items() if _are_equal(saved_values, values)]
    return {f"{group}/{name}": array for group in (same[:1] or GROUPS) for name, array in groups[group].items()}


def _are_equal(saved: dict[str, Array], values: dict[str, Array]) -> bool:
    return saved.keys() == values.keys() and all(np.array_equal(saved[name], values[name]) for name in saved)


def _record(saved: SavedRun) -> Record:
    """Return the part of a run's record that belongs to its parameters.

    The paths of the corpus and of the run to start from are cut to their last names; of the history, only the best and
    the last validation are kept.
    """
    settings: Record = {**saved.settings, "corpus": {**saved.settings["corpus"], "path": _corpus_name(saved)}}
    if "start" in settings:
        settings["start"] = {**settings["start"], "run": Path(settings["start"]["run"]).name}
    rows = saved.record["history"]
    best = [row for row in rows if row["is_best"]][-1:]
    last = [row for row in rows[-1:] if row not in best]
    kept = {name: saved.record[name] for name in KEPT if name in saved.record}
    return {**kept, "config": settings, "packed": True, "history": best + last}


def _corpus_name(saved: SavedRun) -> str:
    return Path(saved.settings["corpus"]["path"]).name


def _without_folder(source: str) -> str:
    """Return the origin of a recording; an absolute path is cut to the name of the file."""
    return Path(source).name if Path(source).is_absolute() else source


def _about(recipe: Recipe[Any], run: LoadedRun, saved: SavedRun, origin: Record, seconds: float) -> Record:
    """Return the entries of ``pack.json`` except the files."""
    versions = {"rnnaudio": __version__, "python": platform.python_version(), "numpy": np.__version__}
    return {
        "format": layout.FORMAT,
        "recipe": recipe.name,
        "trained_by": saved.record.get("engine", {}),
        "packed_by": {**versions, engine.NAME: engine.VERSION},
        "corpus": {**saved.settings["corpus"], "path": _corpus_name(saved)},
        "prime": {"seconds": round(seconds, 4), **origin, "source": _without_folder(origin["source"])},
    }


def _readme(name: str, run: LoadedRun, about: Record) -> str:
    """Return the text of the readme, for the receivers of the pack; name: file name of the pack."""
    corpus, prime = about["corpus"], about["prime"]
    music = f"{corpus['path']}, {corpus['sample_rate_hz']} Hz"
    music += f", {corpus['train_seconds']:.0f} s for training" if "train_seconds" in corpus else ""
    music += f", digest {corpus['digest']}" if "digest" in corpus else ""
    trained_by = "{name} {version}, mode {mode}, kernel {kernel}".format(**about["trained_by"] or NO_ENGINE)
    return ABOUT.format(
        version=about["packed_by"]["rnnaudio"],
        recipe=about["recipe"],
        n_parameters=run.model.n_parameters,
        n_updates=run.record["n_updates"],
        name=in_shell(name),
        seconds=prime["seconds"],
        origin=visible(prime["title"] + (ORIGIN.format(**prime) if prime["source"] else "")),
        rate=run.sample_rate_hz,
        corpus=visible(music),
        trained_by=visible(trained_by),
        licence=visible(about["licence"]),
        precision=about["precision"],
    )


ORIGIN = " (source: {source}; licence: {licence})"
NO_ENGINE = dict.fromkeys(("name", "version", "mode", "kernel"), "unknown")  # runs of early versions


def _write_zip(out: Path, folder: Path, about: Record) -> int:
    """Write the files of a folder and their list to a zip file, all or nothing; return its length in bytes."""
    names = sorted(path.name for path in folder.iterdir())
    contents = {name: in_order((folder / name).read_bytes(), name) for name in names}
    if sum(map(len, contents.values())) > layout.MOST_BYTES - layout.MOST_MANIFEST_BYTES:
        raise RnnaudioError(f"{out} would have more than {layout.MOST_BYTES} bytes, the most a pack has: send RUN_DIR")
    files = {name: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for name, c in contents.items()}
    manifest = json.dumps({**about, "files": files}, indent=2).encode() + b"\n"
    ordered = {layout.README: contents.pop(layout.README), layout.MANIFEST: manifest, **contents}
    with replacing(out) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, content in ordered.items():
                entry = zipfile.ZipInfo(name, layout.DATE)
                entry.external_attr = 0o100644 << 16  # a plain file that its owner may write
                archive.writestr(entry, content)
        return temporary.stat().st_size
