"""Recipe ``codes``: a recurrent model predicts the probabilities of the next code of a spectrum, which is sampled."""

import dataclasses
from collections.abc import Set
from pathlib import Path
from typing import ClassVar

from rnnaudio.data import AudioCorpus
from rnnaudio.data.codec import Codec
from rnnaudio.diagnostics.subject import Subject
from rnnaudio.runs.bits import BitsRecipe, bits_by_counts, check_fits, fitting
from rnnaudio.runs.codes.batches import objective, training_batches, validation_windows
from rnnaudio.runs.codes.ceiling import in_range_through
from rnnaudio.runs.codes.choice import choose
from rnnaudio.runs.codes.config import HOPS_PER_WINDOW, CodesConfig, fitted, prime_seconds
from rnnaudio.runs.codes.fixed import FIXED
from rnnaudio.runs.codes.model import (
    CODEC,
    build_model,
    check_corpus,
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
from rnnaudio.runs.recipe import TOY_FRAME, Page, Prepared
from rnnaudio.runs.record import SavedRun
from rnnaudio.runs.toys import MELODIES, RATE_HZ
from rnnaudio.training import checkpoint

TOY_CODES = 16

FOREIGN = 1.5  # times the loss on the music that a codec was fitted to


class CodesRecipe(BitsRecipe[CodesConfig]):
    """The recipe of runs over codes of spectra: an LSTM predicts the next code; generated music lasts for minutes."""

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
        """Return the least lengths of pieces (see the base class): the ``n_steps`` + 1 frames of a code sequence.

        For training on joined pieces, one window of the codec per piece suffices.
        """
        window = config.window_samples + config.n_steps * config.hop_samples
        alone = Need(corpus.train, window, "n_steps")
        joined = Need(corpus.train, config.window_samples, "window_samples")
        return Needs(joined if config.join_pieces else alone, Need(corpus.valid, window, "n_steps"))

    def least_prime_samples(self, config: CodesConfig) -> int:
        return config.window_samples

    def prime_seconds(self, config: CodesConfig, sample_rate_hz: int) -> float:
        return prime_seconds(config)

    def may_change(self, config: CodesConfig) -> Set[str]:
        return super().may_change(config) | {"choice_minutes"}

    def prepare(self, config: CodesConfig, corpus: AudioCorpus, run_dir: Path | None = None) -> Prepared:
        """Fit the codec (or load that of ``run_dir``), encode the music, and build the model.

        The training split is encoded as it is and in each transposition of the config, the validation split as it is.
        The share of the variance that the codec loses is printed. It is a share of the variance of the music on which
        the codec was fitted or, if ``run_dir`` holds a run on other music, of the training music in ``corpus``.
        RnnaudioError for pieces too short or too few, or if a training step needs more memory than is available.
        """
        codec = kept_codec(run_dir, corpus) if run_dir else fitted_codec(config, corpus)
        print(f"codec: {config.n_stages} x {config.n_codes} codes leave {100 * codec.lost:.0f} % of the variance")
        model, training = build_model(config, codec), fitting(config, config.patience)
        check_fits(model, objective(config), training, config)
        sequences = training_codes(corpus.train, codec, config)
        validation = validation_windows(config, codec, corpus.valid)
        return Prepared(
            model,
            objective(config),
            training_batches(config, codec, sequences),
            validation,
            training,
            corpus.train.pieces,
            bits_by_counts(sequences, validation),
            files={CODEC: saved_codec(codec)},
        )

    def load(self, config: CodesConfig, saved: SavedRun) -> CodesRun:
        return loaded(config, saved)

    def finish(self, run_dir: Path, corpus: AudioCorpus) -> None:
        """Choose parameters and temperatures on validation music, and save the choice; see :func:`choose`."""
        choose(run_dir, corpus)

    def page(self, run: LoadedRun, corpus: AudioCorpus, sound: Sound, folder: Path) -> Page:
        assert isinstance(run, CodesRun)
        return codes_page(run, corpus, sound)

    def subject(self, run: LoadedRun, corpus: AudioCorpus, run_dir: Path | None = None) -> Subject:
        """Make the subject of a diagnosis from the training music, untransposed; see the base class."""
        plain = dataclasses.replace(run, config=dataclasses.replace(run.config, transpose=()))
        subject = super().subject(plain, corpus, run_dir)
        assert isinstance(run, CodesRun)
        return dataclasses.replace(subject, through_codec=lambda: in_range_through(run.codec, corpus))

    def remedy(self, cause: str, config: CodesConfig, rate_factor: float = 1.0) -> str:
        return remedy(cause, config, rate_factor)

    def toy(self, config: CodesConfig) -> CodesConfig:
        """Return the config for toy problems: one stage, at most 16 codes, no transpositions, no sampled inputs."""
        return dataclasses.replace(
            config, transpose=(), n_stages=1, n_codes=min(config.n_codes or TOY_CODES, TOY_CODES), n_components=0,
            own_share=0.0, window_samples=0, hop_samples=0,
        )  # fmt: skip

    def toy_sizes(self, config: CodesConfig) -> tuple[int, int]:
        """Return the samples per frame of toy sounds, and the samples for four sequences of ``n_steps`` codes."""
        hop = fitted(config, 0.0, RATE_HZ).hop_samples
        return TOY_FRAME, 4 * (config.n_steps + HOPS_PER_WINDOW) * hop


CODES = CodesRecipe()


def kept_codec(run_dir: Path, corpus: AudioCorpus) -> Codec:
    """Load the codec of a run; if the run is on other music than ``corpus``, measure the codec's loss on ``corpus``.

    The loss, a share of the variance of the training music, 0 to 1, becomes the codec's ``lost``. A note is printed if
    it is much more than the loss on the music of the run.
    """
    codec = load_codec(run_dir)
    if not checkpoint.exists(run_dir) or not SavedRun.read(run_dir).is_on_other_music(corpus):
        return codec
    lost = codec.lost_of(corpus.train)
    if lost > FOREIGN * codec.lost:
        print(
            f"note: the codec of the run leaves {100 * lost:.0f} % of the variance of this music, and of its own "
            f"{100 * codec.lost:.0f} %: a run from nothing, without --from, fits a codec to this music"
        )
    return dataclasses.replace(codec, lost=lost)
