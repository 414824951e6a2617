"""Commands for use outside this package: export of a run's network to ONNX, and playing on a sound card."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rnnaudio.cli.app import command
from rnnaudio.cli.runs import RUNS, Imports, RunDir


@command("export", RUNS)
def export(
    run_dir: RunDir,
    out: Annotated[Positional[Path], arg(metavar="OUT.onnx")],
    overwrite: bool = False,
    imports: Imports = (),
) -> None:
    """Write a run's network as ONNX, for other programs.

    The network computes one step: a frame, the codes of a frame, or a frame of samples; the state is among its inputs
    and outputs. The file's metadata has what other programs need to know, from the sample rate to the initial state.
    For a run over codes, the encoder of primes is also written, to OUT-encoder.onnx. Needs the extra onnx
    (pip install 'rnnaudio[onnx]').

    Example: rnnaudio export runs/mine mine.onnx

    Args:
        run_dir: the folder of the run.
        out: the ONNX file to write.
        overwrite: replace existing files.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
    """
    from rnnaudio.runs.export import export as write_network

    print(write_network(run_dir, out, overwrite=overwrite))


@command("play", RUNS)
def play(
    run_dir: RunDir,
    prime_file: Path | None = None,
    prime_seconds: float = 1.0,
    prime_index: int = 0,
    prime_start: float | Literal["end"] = 0.0,
    seconds: float | None = None,
    corpus: Path | None = None,
    device: str | None = None,
    temperature: float | None = None,
    top_k: int = 0,
    nucleus: float = 1.0,
    sampling_seed: int | None = None,
    imports: Imports = (),
) -> None:
    """Play a run on the sound card, without end.

    Plays a prime and continues it, as `generate` does. Keys: + and -, or the arrows up and down, change the
    temperature; space pauses and resumes; q ends. Needs the extra play (pip install 'rnnaudio[play]').

    Example: rnnaudio play runs/mine

    Args:
        run_dir: the folder of a run.
        prime_file: an audio file, of which an excerpt is continued: its beginning, or see prime_start. Default: the
            prime is an excerpt of the test split.
        prime_seconds: length of the prime in seconds.
        prime_index: number of the excerpt of the test split, counted from 0.
        prime_start: where in prime_file the prime begins, in seconds; negative: counted from the end of the file. The
            word end: the prime is the last prime_seconds of the file.
        seconds: end after this many seconds of generated sound. Default: play on.
        corpus: where the run's corpus is now, if it was moved.
        device: number of the sound card, or a part of its name; `python -m sounddevice` lists them.
        temperature: sampling temperature to begin with. Default: the run's own.
        top_k: sample only from this many of the most probable values; 0 means from all.
        nucleus: sample only from the smallest set of values whose probabilities reach this sum; 1 means from all.
        sampling_seed: random seed of the sampling. Default: the run's own.
        imports: a Python file that registers the cell or recipe of the run, if it is your own.
    """
    from rnnaudio.audio.card import SoundCard
    from rnnaudio.cli.keys import TerminalKeys
    from rnnaudio.runs.continuing import SamplingOptions
    from rnnaudio.runs.play import play as play_on
    from rnnaudio.runs.primes import Primes

    where = int(device) if device is not None and device.isdecimal() else device
    primes = Primes(prime_file, prime_seconds, prime_index, 1, prime_start)
    sampling = SamplingOptions(() if temperature is None else (temperature,), top_k, nucleus, sampling_seed)
    print(
        play_on(
            run_dir, corpus, primes=primes, open_card=lambda rate: SoundCard(rate, where), keys=TerminalKeys(),
            sampling=sampling, seconds=seconds,
        )
    )  # fmt: skip
