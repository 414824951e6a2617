"""Commands that generate sound with trained runs, and that pack runs for use elsewhere."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rnnaudio.cli.app import command
from rnnaudio.cli.runs import RUNS, Imports, RunDir


@command("generate", RUNS)
def generate(
    run_dir: RunDir,
    out: Annotated[Positional[Path], arg(metavar="OUT.wav")],
    prime_file: Annotated[Path | None, arg(aliases=["--seed-file"])] = None,
    prime_seconds: Annotated[float, arg(aliases=["--seed-seconds"])] = 1.0,
    prime_index: Annotated[int, arg(aliases=["--seed-index"])] = 0,
    prime_start: Annotated[float | Literal["end"], arg(aliases=["--seed-start"])] = 0.0,
    seconds: float | None = None,
    corpus: Path | None = None,
    streams: int = 1,
    overwrite: bool = False,
    temperature: tuple[float, ...] = (),
    top_k: int = 0,
    nucleus: float = 1.0,
    sampling_seed: Annotated[int | None, arg(aliases=["--draw-seed"])] = None,
    imports: Imports = (),
) -> None:
    """Continue recorded sound with a trained model.

    Writes a WAV of the prime, a second of recorded sound by default, and its continuation, while the model plays;
    Ctrl-C ends it, and what was played is kept.

    Example: rnnaudio generate runs/mine out.wav --seconds 300 --temperature 1.0 1.2

    Args:
        run_dir: the folder of a run; a pack of one, as `pack` writes it, which brings its prime; or the name of a
            model that comes with rnnaudio: piano. `rnnaudio info` lists them.
        out: the WAV file to write; - writes to standard output: rnnaudio generate RUN - --seconds 300 | aplay
        prime_file: an audio file, of which an excerpt is continued: its beginning, or see prime_start. Default: the
            prime is an excerpt of the test split. It may differ from that of the report, which is chosen such that
            the recording continues after it.
        prime_seconds: length of the prime in seconds.
        prime_index: number of the excerpt of the test split, counted from 0.
        prime_start: where in prime_file the prime begins, in seconds; negative: counted from the end of the file. The
            word end: the prime is the last prime_seconds of the file, so that the sound continues the whole file.
        seconds: length of the sound generated after the prime, in seconds. Default: 10, or 60 of a model that comes
            with rnnaudio.
        corpus: where the run's corpus is now, if it was moved.
        streams: number of excerpts to continue at once, from number prime_index on; writes OUT-1.wav, OUT-2.wav, ...
        overwrite: replace existing files.
        temperature: sampling temperature: 1 as learnt, lower is safer, higher is bolder. Several values are
            interpolated over the course of the generated sound. Default: the run's own.
        top_k: sample only from this many of the most probable values; 0 means from all.
        nucleus: sample only from the smallest set of values whose probabilities reach this sum; 1 means from all.
        sampling_seed: random seed of the sampling; the same seed gives the same sound. Default: the run's own.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
    """
    from rnnaudio.runs.continuing import SamplingOptions
    from rnnaudio.runs.generate import generate as write_continuations
    from rnnaudio.runs.primes import Primes

    primes = Primes(prime_file, prime_seconds, prime_index, streams, prime_start)
    sampling = SamplingOptions(temperature, top_k, nucleus, sampling_seed)
    done = write_continuations(
        run_dir, out, corpus, primes=primes, seconds=seconds, sampling=sampling, overwrite=overwrite
    )
    print(done, file=sys.stderr if str(out) == "-" else sys.stdout)


@command("pack", RUNS)
def pack(
    run_dir: RunDir,
    out: Annotated[Positional[Path], arg(metavar="OUT.zip")],
    prime_file: Path | None = None,
    prime_seconds: float = 1.0,
    prime_index: int = 0,
    prime_start: float | Literal["end"] = 0.0,
    corpus: Path | None = None,
    float16: bool = False,
    licence: str = "",
    overwrite: bool = False,
    imports: Imports = (),
) -> None:
    """Pack a run into one zip file that plays without a corpus.

    The file holds the parameters with which the run plays, other files that its recipe needs, the settings, versions,
    the summary of the report, a prime, and titles, sources and licences of the music. `generate` plays it, and
    `train --from` starts from it.

    Example: rnnaudio pack runs/mine mine.zip

    Args:
        run_dir: the folder of the run.
        out: the zip file to write.
        prime_file: an audio file, of which an excerpt becomes the prime: its beginning, or see prime_start. Default:
            the excerpt of the test split that `generate` continues by default.
        prime_seconds: length of the prime in seconds.
        prime_index: number of the excerpt of the test split, counted from 0.
        prime_start: where in prime_file the prime begins, in seconds; see `generate`.
        corpus: where the run's corpus is now, if it was moved.
        float16: store matrices in half precision: half the size, and a sound that differs in its details.
        licence: the licence under which you pass the pack on, as a text.
        overwrite: replace an existing file.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
    """
    from rnnaudio.runs.packs import Form
    from rnnaudio.runs.packs import pack as write_pack
    from rnnaudio.runs.primes import Primes

    primes = Primes(prime_file, prime_seconds, prime_index, start=prime_start)
    print(write_pack(run_dir, out, corpus, primes=primes, form=Form(float16, licence, overwrite)))
