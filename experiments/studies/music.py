"""Music that lasts: codes learnt from an hour of piano, and continuations of five minutes from unseen seconds.

    rnnaudio experiment run music [--seed 2016] [--corpus MINE.h5 --run-dir runs/mine] [--smoke]

Trains a model of codes for at most 15 minutes, chooses parameters and temperature on validation primes, and continues
16 primes, a second each, from unseen works for five minutes each. The table compares it with real music encoded and
decoded by the codec, which is its upper limit; with the training music; with a bigram chain over the same codes, which
passes most acoustic measures without modelling music; and with a regression model of frames, as in 2016 but repaired,
without and with noise. A measure that the chain passes is no evidence of learning. Evidence is that the model needs
fewer bits per frame than tuned chains, and that a classifier separates it from real music less easily than the chain.
"""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
import tyro
from PIL import Image

from experiments.shared.on_corpus import CORPUS, complete
from experiments.shared.records import FOLDER, record
from experiments.studies.markov import Detail, Markov
from rnnaudio import plots
from rnnaudio.audio import read_audio, write_wav
from rnnaudio.cli.arguments import REGISTRY, parsed
from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import fixed_code_windows
from rnnaudio.data.demo import build_demo_corpus
from rnnaudio.generation.codes import decoded_audio
from rnnaudio.metrics import Corpus, classifier_auc
from rnnaudio.metrics.two_sample import least_samples
from rnnaudio.metrics.yardstick import Yardstick, cut
from rnnaudio.objectives import NextCodes
from rnnaudio.runs.codes.choice import choose
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.model import encoded, training_codes
from rnnaudio.runs.codes.recipe import CODES
from rnnaudio.runs.codes.run import CodesRun
from rnnaudio.runs.fit import fit
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.frames.recipe import FRAMES, FramesRun
from rnnaudio.runs.judging import limits_of_real_music
from rnnaudio.runs.load import load
from rnnaudio.seeds import check_seed
from rnnaudio.training import Evaluation

COPIES_SECONDS = (0.5, 1.0, 2.0)
CLEAN_SECONDS = (60.0, 300.0)
CLEARLY = 0.05  # of the area under a curve
CHOSEN = ("parameters", "temperature", "detail_temperature", "scores")
SHOWN_SECONDS, SHOWN_HZ = 30, 4000.0
N_CLIPS, CLIP_SECONDS = 2, 30  # kept with the record
Figures = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Amounts of sound that are generated and measured."""

    n_seeds: int = 16
    seconds: float = 300.0
    n_choosing: int = 12
    choosing_seconds: float = 60.0
    stretch_seconds: float = 30.0  # of real music, for the classifier


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the model of codes and of the regression model."""

    corpus: Path = CORPUS
    run_dir: Path = Path("runs/music")
    regressor_dir: Path | None = None  # the run of the model over frames; default: RUN_DIR-regressor
    name: str = "music"  # of the record; only runs of our corpus and runs with a name of their own are recorded
    seed: int = 2016
    minutes: float = 15.0  # of training, at most
    regressor_minutes: float = 15.0  # of training of the model over frames
    max_updates: int = 0  # 0: chosen from the corpus
    smoke: bool = False  # a small model of the piano in the package, a few updates; nothing is recorded

    def __post_init__(self) -> None:
        check_seed(self.seed)


SMOKE = CodesConfig(
    n_components=16, n_codes=24, transpose=(), n_units=16, n_steps=16, batch_size=4, max_updates=4, validate_every=2,
)  # fmt: skip


def main() -> None:
    """Train, choose, generate, measure, record."""
    options = parsed(lambda: tyro.cli(Options, registry=REGISTRY))
    if options.smoke:
        with TemporaryDirectory() as folder:
            home = Path(folder)
            path = build_demo_corpus(home / "corpus.h5")
            small = dataclasses.replace(options, corpus=path, run_dir=home / "run", regressor_minutes=0.1)
            fit(CODES, SMOKE, path, small.run_dir)
            print(experiment(small, Sizes(2, 3.0, 1, 2.0)))
        return
    config = CodesConfig(seed=options.seed, minutes=options.minutes, max_updates=options.max_updates)
    run = complete(fit(CODES, config, options.corpus, options.run_dir, resume=True))
    figures = experiment(options, Sizes())
    figures |= {"updates": run.n_updates, "training_minutes": round(run.seconds / 60.0, 1)}
    if options.corpus == CORPUS or options.name != Options.name:
        record(name_of_record(options), figures)
        keep(options.run_dir, name_of_record(options))


def name_of_record(options: Options) -> str:
    """The name of the record: the given name, and the seed if it is not the default.

    A shortened run without a name of its own gets one that replaces no record.
    """
    parts = [options.name] + [str(options.seed)] * (options.seed != Options.seed)
    if options.name == Options.name:
        parts += [f"updates-{options.max_updates}"] * (options.max_updates > 0)
        parts += [f"minutes-{options.minutes:g}"] * (options.minutes < Options.minutes)
    return "-".join(parts)


def keep(run_dir: Path, name: str) -> None:
    """Store, beside the record, a picture in 256 colours (a third of the bytes), and the first 30 s of two sounds."""
    with Image.open(run_dir / "kinds.png") as picture:
        few = picture.convert("RGB").quantize(256)
        few.save(FOLDER / "pictures" / f"{name}-kinds.png", optimize=True)
    (FOLDER / "sounds").mkdir(exist_ok=True)
    for k in range(N_CLIPS):
        audio, rate = read_audio(run_dir / f"music-{k + 1}.wav")
        soundfile.write(FOLDER / "sounds" / f"{name}-{k + 1}.ogg", audio[: CLIP_SECONDS * rate], rate)


def experiment(options: Options, sizes: Sizes) -> Figures:
    """Train the regression model, choose how the trained model of codes generates, generate and measure.

    Returns the figures. Sounds and pictures go to the run's folder.
    """
    regressor = trained_regressor(options)
    with AudioCorpus.open(options.corpus) as corpus:
        playing = choose(options.run_dir, corpus, n_primes=sizes.n_choosing, seconds=sizes.choosing_seconds)
        print("played on validation seeds:", *playing.scores, sep="\n", flush=True)
        musician = load(options.run_dir, CodesRun)
        longest = max(piece.n_samples for piece in corpus.test.pieces) / corpus.sample_rate_hz
        stretch = min(sizes.stretch_seconds, sizes.seconds, longest)
        codes_trained_on = training_codes(corpus.train, musician.codec, musician.config)
        chains = chains_of(musician, corpus, codes_trained_on)
        seeds = [corpus.test.prime_at(k, 1.0) for k in range(sizes.n_seeds)]
        codes, ours = played(musician, seeds, sizes.seconds)
        chain_codes = codes_of_chain(chains["bigram"], musician, seeds, sizes.seconds)
        unseen, train = pieces(corpus, "test"), pieces(corpus, "train")
        limits = limits_of_real_music(corpus)
        yardstick = Yardstick.of(train, unseen, corpus.sample_rate_hz, stretch, limits)
        through = [through_codec(piece, musician) for piece in unseen]
        each = range(len(through))
        table = {"unseen music": yardstick.measure(unseen, each), "codec alone": yardstick.measure(through, each)}
        sounds = {
            "training music": parts(train, corpus.sample_rate_hz, sizes.seconds, sizes.n_seeds),
            "codes": ours,
            "bigram chain": with_detail(chain_codes, musician, codes_trained_on, sizes.seconds),
            **by_regressor(regressor, corpus, seeds, sizes.seconds),
        }
        table |= {name: yardstick.measure(audios) for name, audios in sounds.items()}
        for name, audios in sounds.items():
            if name == "training music":
                audios = [through_codec(audio, musician) for audio in audios]
            area = area_against_codec(through, audios, corpus.sample_rate_hz, stretch)
            table[name]["told_from_codec"] = area
        sounds = {"unseen music": unseen, "codec alone": through, **sounds}
        write_sounds(options.run_dir, corpus, seeds, sounds)
        for name, audios in sounds.items():
            table[name] |= clean(audios, yardstick)
            print(f"{name}: {table[name]}", flush=True)
        figures = {
            "table": table,
            "choice": {name: getattr(playing, name) for name in CHOSEN},
            "settings": dataclasses.asdict(musician.config),
            "codec_lost": round(musician.codec.lost, 3),
            "bits": bits(musician, corpus, chains),
            "copies": copies(musician, corpus, codes_trained_on, {"codes": codes, "bigram chain": chain_codes}),
            **speed(musician, seeds[0]),
        }
    print(json.dumps({name: value for name, value in figures.items() if name != "table"}, indent=1))
    print("[measured, goal, met]:", *goals(figures).items(), sep="\n")
    return figures


def pieces(corpus: AudioCorpus, split: str) -> list[np.ndarray]:
    """The pieces of a split, (n,) samples each on the scale -1 to 1, except those shorter than a second.

    These are too short for the measures.
    """
    long = (p for p in getattr(corpus, split).pieces if p.n_samples >= corpus.sample_rate_hz)
    return [corpus.restore(p.read(0, p.n_samples)) for p in long]


def through_codec(audio: np.ndarray, musician: CodesRun) -> np.ndarray:
    """Encode and decode a sound with the codec; it and the result are (n,) samples on the scale -1 to 1.

    RnnaudioError if it is shorter than a window.
    """
    scale, codec = musician.scale, musician.codec
    return scale.restore(decoded_audio(codec, codec.encode(scale.standardise(audio))))


def area_against_codec(
    through: Sequence[np.ndarray], audios: Sequence[np.ndarray], rate: int, stretch: float
) -> float | None:
    """Area under the ROC curve of a classifier of ``audios`` against real music through the codec (``through``).

    Unlike in ``told_from_real``, both sides have the timbre of the codec. stretch: length in seconds of the excerpts
    into which real pieces are cut. None if fewer than two pieces or two sounds are long enough, or if ``stretch`` is
    too short for the classifier.
    """
    groups = [stretches for piece in through if (stretches := cut(piece, round(stretch * rate)))]
    long = [audio for audio in audios if len(audio) >= least_samples(rate)]
    if min(len(groups), len(long)) < 2 or round(stretch * rate) < least_samples(rate):
        return None
    return round(classifier_auc(groups, [[audio] for audio in long], rate), 3)


def parts(whole: Sequence[np.ndarray], rate: int, seconds: float, most: int) -> list[np.ndarray]:
    """Cut pieces into adjoining stretches of ``seconds``, and choose at most ``most``, spread over all stretches.

    A piece that is shorter than a stretch is used whole.
    """
    n = round(seconds * rate)
    found = [piece[k : k + n] for piece in whole for k in range(0, max(1, len(piece) - n + 1), n)]
    return [found[k] for k in np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))]


def played(musician: CodesRun, seeds: Sequence[np.ndarray], seconds: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Generate with the chosen settings: first-stage codes, (n_seeds, n_frames), and sounds on the scale -1 to 1."""
    blocks = list(musician.coded_blocks(seeds, round(seconds * musician.sample_rate_hz)))
    audio = np.concatenate([block.audio for block in blocks], axis=1)
    return np.concatenate([block.codes for block in blocks], axis=1)[..., 0], list(map(musician.scale.restore, audio))


def chains_of(musician: CodesRun, corpus: AudioCorpus, trained_on: Sequence[np.ndarray]) -> dict[str, Markov]:
    """Markov chains of first-stage codes, counted on the model's training codes, and tuned on the validation split."""
    codec = musician.codec
    train = [codes[:, 0] for codes in trained_on]
    valid = [codes[:, 0] for codes in encoded(corpus.valid, codec)]
    return {
        name: Markov(train, codec.n_codes, order).tune(valid)
        for order, name in enumerate(("unigram", "bigram", "trigram"))
    }


def codes_of_chain(chain: Markov, musician: CodesRun, seeds: Sequence[np.ndarray], seconds: float) -> np.ndarray:
    """First-stage codes sampled from a chain, (n_seeds, n_frames), enough for ``seconds`` of sound.

    seeds: the primes, (n,) standardised samples each.
    """
    codec, n = musician.codec, round(seconds * musician.sample_rate_hz)
    n_frames = n // codec.stft.hop_samples + codec.stft.window_samples // codec.stft.hop_samples + 1
    rows = []
    for k, seed in enumerate(seeds):
        rng = np.random.default_rng((musician.config.seed, k, 10))  # 10: the purpose
        rows.append(chain.play(n_frames, codec.encode(seed)[:, 0], rng))
    return np.stack(rows)


def with_detail(
    codes: np.ndarray, musician: CodesRun, trained_on: Sequence[np.ndarray], seconds: float
) -> list[np.ndarray]:
    """Decode first-stage codes, (n_seeds, n_frames), completed with the other stages by :class:`Detail`.

    Returns sounds of ``seconds`` on the scale -1 to 1. trained_on: sequences of codes, (n_frames, n_stages) each.
    """
    n, detail = round(seconds * musician.sample_rate_hz), Detail(trained_on)
    rngs = [np.random.default_rng((musician.config.seed, k, 13)) for k in range(len(codes))]  # 13: the purpose
    whole = [detail.play(first, rng) for first, rng in zip(codes, rngs, strict=True)]
    return [musician.scale.restore(decoded_audio(musician.codec, one)[:n]) for one in whole]


def trained_regressor(options: Options) -> FramesRun:
    """Train, or resume, a repaired regression model of frames."""
    folder = options.regressor_dir or options.run_dir.with_name(f"{options.run_dir.name}-regressor")
    complete(fit(FRAMES, FramesConfig(minutes=options.regressor_minutes), options.corpus, folder, resume=True))
    return load(folder, FramesRun)


def by_regressor(
    run: FramesRun, corpus: AudioCorpus, seeds: Sequence[np.ndarray], seconds: float
) -> dict[str, list[np.ndarray]]:
    """Continuations by the regression model, without noise and with noise of the variance of the validation error.

    They are on the scale -1 to 1. A continuation that ends early is padded with silence.
    """
    n, rows = round(seconds * corpus.sample_rate_hz), {}
    for name, noisy in (("regressor", False), ("regressor with noise", True)):
        player = dataclasses.replace(run, config=dataclasses.replace(run.config, generation_noise=noisy))
        audios = [corpus.restore(g.audio[g.n_prime :]) for g in player.continue_primes(seeds, n)]
        rows[name] = [np.pad(audio, (0, n - len(audio))) for audio in audios]
    return rows


def clean(sounds: Sequence[np.ndarray], yardstick: Yardstick) -> Figures:
    """Counts for 60 s and 300 s: [sounds that are alive throughout this time, sounds of at least this length]."""
    rate = yardstick.sample_rate_hz
    long = {s: [audio for audio in sounds if len(audio) >= s * rate] for s in CLEAN_SECONDS}
    return {
        f"clean_at_{s:g}_s": [sum(yardstick.is_clean(audio, s) for audio in audios), len(audios)]
        for s, audios in long.items()
    }


def bits(musician: CodesRun, corpus: AudioCorpus, chains: dict[str, Markov]) -> dict[str, float]:
    """Bits per frame of first-stage codes on the test split, each piece from its beginning."""
    test, ours = [codes for codes in encoded(corpus.test, musician.codec) if len(codes) > 2], 0.0
    evaluate, n = Evaluation(musician.model, NextCodes()), sum(len(codes) - 1 for codes in test)
    for codes in test:
        of_piece = evaluate(fixed_code_windows((codes,), len(codes) - 1, 1))
        ours += of_piece.get("bits_1", of_piece["bits"]) * (len(codes) - 1) / n
    rows = {"codes": ours} | {name: chain.bits([codes[:, 0] for codes in test]) for name, chain in chains.items()}
    return {name: round(value, 3) for name, value in rows.items()}


def speed(musician: CodesRun, seed: np.ndarray, seconds: float = 20.0) -> dict[str, float]:
    """Generation of one stream, with phase reconstruction: multiple of real time, and seconds to the first sound."""
    n, first = round(seconds * musician.sample_rate_hz), 0.0
    next(musician.coded_blocks([seed], n, n_at_once=1))  # compiles
    started = time.perf_counter()
    for block in musician.coded_blocks([seed], n, n_at_once=1):
        first = first or (time.perf_counter() - started if block.audio.size else 0.0)
    took = time.perf_counter() - started
    return {"times_real_time": round(seconds / took, 2), "first_sound_seconds": round(first, 3)}


def copies(
    musician: CodesRun, corpus: AudioCorpus, trained_on: Sequence[np.ndarray], played_codes: dict[str, np.ndarray]
) -> dict[str, Figures]:
    """Share of frames in passages that also occur in the training codes, by kind of sound and length of passage.

    Passages of .5, 1 and 2 s are compared by their first-stage codes. The shares of unseen music are included for
    comparison.
    """
    known = Corpus.of(one[:, 0] for one in trained_on)
    per_second = musician.sample_rate_hz / musician.codec.stft.hop_samples
    unseen = [codes[:, 0] for codes in encoded(corpus.test, musician.codec)]
    every: dict[str, Sequence[np.ndarray]] = {"unseen music": unseen, **{k: list(v) for k, v in played_codes.items()}}

    def shares(of: Sequence[np.ndarray]) -> Figures:
        lengths = {s: round(s * per_second) for s in COPIES_SECONDS}
        return {
            f"{s:g} s": round(float(np.mean([known.copied_share(one, n) for one in of if len(one) >= n])), 4)
            for s, n in lengths.items()
        }

    return {name: shares(of) for name, of in every.items()}


def goals(figures: Figures) -> dict[str, list[Any]]:
    """The goals of the model of codes by name, as [measured, goal, whether it is met]."""
    table = figures["table"]
    ours, codec, real, chain = (table[n] for n in ("codes", "codec alone", "unseen music", "bigram chain"))
    copied, bits = figures["copies"]["codes"], figures["bits"]
    below = {chain_name: bits[chain_name] - bits["codes"] for chain_name in ("bigram", "trigram")}
    loops = max(real["loop_score"][-1], table["training music"]["loop_score"][-1])
    (clean_60, n_60), (clean_300, n_300) = ours["clean_at_60_s"], ours["clean_at_300_s"]
    divergence = ours["jensen_shannon"] ** 2  # the table has its root, a distance
    onsets = ours["onsets_per_second"], codec["onsets_per_second"], real["onsets_per_second"]
    asked = {
        "dead for good": (ours["dead_for_good"], "= 0", ours["dead_for_good"] == 0),
        "clean at 60 s": (clean_60, f">= 15 of 16, here of {n_60}", clean_60 >= 15 / 16 * n_60),
        "clean at 300 s": (clean_300, f">= 12 of 16, here of {n_300}", clean_300 >= 12 / 16 * n_300),
        "in range": (ours["in_range"], ">= .96", ours["in_range"] >= 0.96),
        "Frechet ratio": (ours["frechet_ratio"], "<= .40", ours["frechet_ratio"] <= 0.40),
        "Jensen-Shannon divergence": (round(divergence, 4), "<= .09", divergence <= 0.09),
        "onsets / the codec's": (ratio(onsets[0], onsets[1]), ">= .85", onsets[0] >= 0.85 * onsets[1]),
        "codec's onsets / real": (ratio(onsets[1], onsets[2]), ">= .95", onsets[1] >= 0.95 * onsets[2]),
        "loop score": (ours["loop_score"][-1], f"<= {loops}, real music's most", ours["loop_score"][-1] <= loops),
        "copies of 1 s": (copied["1 s"], "< .03", copied["1 s"] < 0.03),
        "copies of 2 s": (copied["2 s"], "= 0", copied["2 s"] == 0),
        "bits below bigram": (round(below["bigram"], 3), ">= 1", below["bigram"] >= 1),
        "bits below trigram": (round(below["trigram"], 3), "> 0", below["trigram"] > 0),
        "faster than real time": (figures["times_real_time"], ">= 15", figures["times_real_time"] >= 15),
        "first sound, s": (figures["first_sound_seconds"], "<= .5", figures["first_sound_seconds"] <= 0.5),
    }  # fmt: skip
    which = "told_from_codec" if ours.get("told_from_codec") is not None else "told_from_real"
    if which in ours and which in chain:
        a, b = ours[which], chain[which]
        asked[f"{which.replace('_', ' ')}, less than the chain"] = (a, f"<= {b} - {CLEARLY}", a <= b - CLEARLY)
    return {name: [value, goal, bool(is_met)] for name, (value, goal, is_met) in asked.items()}


def ratio(a: float, b: float) -> float:
    """a / b to three decimals; 0 if b is 0."""
    return round(a / b, 3) if b else 0.0


def write_sounds(
    run_dir: Path, corpus: AudioCorpus, seeds: Sequence[np.ndarray], sounds: Mapping[str, Sequence[np.ndarray]]
) -> None:
    """Write the continuations of all test primes by the model of codes, after their primes, and plot spectrograms.

    One picture has the first 30 s of the first sound of each kind, the other all continuations.
    """
    rate = corpus.sample_rate_hz
    continued = {
        f"seed {k + 1}": np.concatenate([corpus.restore(seed), audio])
        for k, (seed, audio) in enumerate(zip(seeds, sounds["codes"], strict=True))
    }
    for k, audio in enumerate(continued.values()):
        write_wav(run_dir / f"music-{k + 1}.wav", audio, rate)
    firsts = {name: audios[0][: SHOWN_SECONDS * rate] for name, audios in sounds.items()}
    plots.spectrogram_sheet(firsts, rate, run_dir / "kinds.png", title="The first of each kind", highest_hz=SHOWN_HZ)
    title, path = "A second of unseen music, then what is played", run_dir / "played.png"
    plots.spectrogram_sheet(continued, rate, path, title=title, highest_hz=SHOWN_HZ, prime_seconds=1.0)
