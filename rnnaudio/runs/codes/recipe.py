"""Runs over codes of spectra: a recurrent model predicts the probabilities of the next code, which is sampled."""

import dataclasses
from collections.abc import Set
from pathlib import Path
from typing import ClassVar

from rnnaudio.data import AudioCorpus
from rnnaudio.data.code_batches import CodeStreams, fixed_code_windows
from rnnaudio.diagnostics.subject import Subject
from rnnaudio.objectives import NextCodes
from rnnaudio.runs.bits import bits_by_counts, fitting
from rnnaudio.runs.codes.choice import choose
from rnnaudio.runs.codes.config import HOPS_PER_WINDOW, CodesConfig, fitted
from rnnaudio.runs.codes.fixed import FIXED
from rnnaudio.runs.codes.model import (
    CODEC,
    build_model,
    check_corpus,
    encoded,
    fitted_codec,
    load_codec,
    saved_codec,
    training_codes,
)
from rnnaudio.runs.codes.page import codes_page
from rnnaudio.runs.codes.playing import PLAYING
from rnnaudio.runs.codes.remedies import remedy
from rnnaudio.runs.codes.run import CodesRun, loaded
from rnnaudio.runs.continuing import LoadedRun
from rnnaudio.runs.judging import Sound
from rnnaudio.runs.lengths import Need, Needs
from rnnaudio.runs.recipe import TOY_FRAME, Page, Prepared, Recipe
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.toys import MELODIES, RATE_HZ
from rnnaudio.training import checkpoint

TOY_CODES = 16


class CodesRecipe(Recipe[CodesConfig]):
    """Runs of an LSTM over codes of spectra, which generate music for minutes."""

    name = "codes"
    key = "music"
    Config = CodesConfig
    quantity = "bits a frame"
    seconds = 30.0
    problems = MELODIES
    files = (CODEC, PLAYING)
    fixed: ClassVar = FIXED
    meaning: ClassVar = {"window_samples", "hop_samples", "n_components", "n_codes", "n_stages"}
    of_earlier_versions: ClassVar = {"patience": 0}  # early stopping came later

    def completed(self, config: CodesConfig, corpus: AudioCorpus) -> CodesConfig:
        """Return the config with its zeros replaced by values that suit the amount of training music.

        RnnaudioError if generated sound could not be evaluated on this corpus, see
        :func:`rnnaudio.runs.codes.model.check_corpus`.
        """
        check_corpus(corpus)
        return fitted(config, corpus.train.seconds, corpus.sample_rate_hz)

    def needs(self, config: CodesConfig, corpus: AudioCorpus) -> Needs:
        """Least lengths of pieces, see the base class: the ``n_steps`` + 1 frames of a sequence of codes.

        Training on joined pieces needs only pieces of one window of the codec.
        """
        window = config.window_samples + config.n_steps * config.hop_samples
        alone = Need(corpus.train, window, "n_steps")
        joined = Need(corpus.train, config.window_samples, "window_samples")
        return Needs(joined if config.join_pieces else alone, Need(corpus.valid, window, "n_steps"))

    def least_prime_samples(self, config: CodesConfig) -> int:
        return config.window_samples

    def may_change(self, config: CodesConfig) -> Set[str]:
        return {"minutes", "checkpoint_minutes", "preflight", "back_off"}

    def in_words(self, loss: float) -> str:
        return f"{loss:.3f} bits a frame"

    def prepare(self, config: CodesConfig, corpus: AudioCorpus, run_dir: Path | None = None) -> Prepared:
        """Fit the codec (or load that of ``run_dir``), encode the music, and build the model.

        If ``run_dir`` is a run on other music, the share of this music's variance that its codec loses is measured.
        The training split is encoded as it is and in each transposition of the config, the validation split as it is.
        The share of the variance that the codec loses is printed. RnnaudioError for pieces too short or too few.
        """
        codec = load_codec(run_dir) if run_dir else fitted_codec(config, corpus)
        if run_dir and checkpoint.exists(run_dir) and SavedRun.read(run_dir).is_on_other_music(corpus):
            codec = dataclasses.replace(codec, lost=codec.lost_of(corpus.train))
        print(f"codec: {config.n_stages} x {config.n_codes} codes leave {100 * codec.lost:.0f} % of the variance")
        sequences = training_codes(corpus.train, codec, config)
        batches = CodeStreams(sequences, n_steps=config.n_steps, batch_size=config.batch_size, seed=config.seed)
        validation = fixed_code_windows(tuple(encoded(corpus.valid, codec)), config.n_steps, config.batch_size)
        return Prepared(
            build_model(config, codec),
            NextCodes(own_share=config.own_share, own_rise=config.max_updates),
            batches,
            validation,
            fitting(config, config.patience),
            corpus.train.pieces,
            bits_by_counts(sequences, validation),
            files={CODEC: saved_codec(codec)},
        )

    def load(self, config: CodesConfig, saved: SavedRun) -> CodesRun:
        return loaded(config, saved)

    def finish(self, run_dir: Path, corpus: AudioCorpus) -> None:
        """Choose the parameters and temperatures on validation music; see :func:`choose`."""
        choose(run_dir, corpus)

    def page(self, run: LoadedRun, corpus: AudioCorpus, sound: Sound, folder: Path) -> Page:
        assert isinstance(run, CodesRun)
        return codes_page(run, corpus, sound)

    def subject(self, run: LoadedRun, corpus: AudioCorpus, run_dir: Path | None = None) -> Subject:
        """Make the subject of a diagnosis from the training music, untransposed; see the base class."""
        plain = dataclasses.replace(run, config=dataclasses.replace(run.config, transpose=()))
        return super().subject(plain, corpus, run_dir)

    def remedy(self, cause: str, config: CodesConfig, rate_factor: float = 1.0) -> str:
        return remedy(cause, config, rate_factor)

    def toy(self, config: CodesConfig) -> CodesConfig:
        """The config for toy problems: one stage of 16 codes at most, no transpositions."""
        return dataclasses.replace(
            config, transpose=(), n_stages=1, n_codes=min(config.n_codes or TOY_CODES, TOY_CODES), n_components=0,
            own_share=0.0, window_samples=0, hop_samples=0,
        )  # fmt: skip

    def toy_sizes(self, config: CodesConfig) -> tuple[int, int]:
        """Samples per frame of toy sounds, and the number of samples that make four sequences of ``n_steps`` codes."""
        hop = fitted(config, 0.0, RATE_HZ).hop_samples
        return TOY_FRAME, 4 * (config.n_steps + HOPS_PER_WINDOW) * hop


CODES = CodesRecipe()
