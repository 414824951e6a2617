"""Sounds for a listening test of a run over codes, in a folder for each condition.

    rnnaudio experiment run listening-sounds --run-dir runs/music --out runs/listening-sounds
    rnnaudio listen runs/listening-sounds -o test.html

Each prime is a second of a test work. What follows it is written ten seconds long, without the prime: as the run plays
it (ours), as a bigram chain over the same codes does (chain), as it was recorded (music), and that through the codec
(codec). Sounds of the same number belong to the same prime.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro

from experiments.shared.on_corpus import CORPUS
from experiments.studies.music import SMOKE, chains_of, codes_of_chain, played, through_codec, with_detail
from rnnaudio.audio import write_wav
from rnnaudio.audio.arrays import Audio
from rnnaudio.audio.levels import limited
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import AudioCorpus
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.codes.model import training_codes
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.fit import fit
from rnnaudio.runs.judging import prime_and_continuation
from rnnaudio.runs.load import load
from rnnaudio.runs.primes import check_seconds

PRIME_SECONDS = 1.0
MORE_SECONDS = 0.5  # of recording, as the codec does not decode its last windows


@dataclasses.dataclass(frozen=True)
class Options:
    """The run, the folder of its sounds, their number and length."""

    run_dir: Path = Path("runs/music")
    corpus: Path = CORPUS
    out: Path = Path("runs/listening-sounds")  # a new folder
    n_primes: int = 8
    seconds: float = 10.0
    smoke: bool = False  # a small model of the piano in the package, two sounds of two seconds, then removed

    def __post_init__(self) -> None:
        check_seconds(self.seconds, "seconds")
        if self.n_primes < 1:
            raise RnnaudioError(f"n_primes is {self.n_primes}; expected 1 or more")


def main() -> None:
    """Write the sounds of each condition."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            run_dir, corpus = Path(folder) / "run", build_demo_corpus(Path(folder) / "corpus.h5")
            fit(CODES, SMOKE, corpus, run_dir)
            print(write(Options(run_dir, corpus, Path(folder) / "sounds", n_primes=2, seconds=2.0)))
        return
    print(write(options))


def write(options: Options) -> str:
    """Make all sounds and write them; returns a sentence on them.

    RnnaudioError if the folder to write to exists, or if the run or its corpus cannot be loaded.
    """
    if options.out.exists():
        raise RnnaudioError(f"{options.out} exists: choose another folder (--out), or delete it")
    run = load(options.run_dir, CodesRun)
    with run.open_corpus(options.corpus) as corpus:
        sounds = conditions(run, corpus, options.n_primes, options.seconds)
    for condition, audios in sounds.items():
        (options.out / condition).mkdir(parents=True)
        for k, audio in enumerate(audios, 1):
            within, _ = limited(audio, run.sample_rate_hz)
            write_wav(options.out / condition / f"{k}.wav", within, run.sample_rate_hz)
    n = len(sounds["ours"])
    return f"wrote {options.out}: {n} sounds of {options.seconds:g} s of {', '.join(sounds)}; {_next(options.out)}"


def _next(out: Path) -> str:
    return f"rnnaudio listen {out} -o test.html"


def conditions(run: CodesRun, corpus: AudioCorpus, n_primes: int, seconds: float) -> Mapping[str, Sequence[Audio]]:
    """The sounds of each condition, (n,) samples each on the scale of the recording, without their primes."""
    n_prime = round(PRIME_SECONDS * corpus.sample_rate_hz)
    n = n_prime + round(seconds * corpus.sample_rate_hz)
    whole = [prime_and_continuation(corpus.test, k, PRIME_SECONDS, seconds + MORE_SECONDS) for k in range(n_primes)]
    primes = [one[:n_prime] for one in whole]
    trained_on = training_codes(corpus.train, run.codec, run.config)
    chain = codes_of_chain(chains_of(run, corpus, trained_on)["bigram"], run, primes, seconds)
    restored = [np.asarray(corpus.restore(one)) for one in whole]
    return {
        "ours": played(run, primes, seconds)[1],
        "chain": with_detail(chain, run, trained_on, seconds),
        "codec": [through_codec(one, run)[n_prime:n] for one in restored],
        "music": [one[n_prime:n] for one in restored],
    }
