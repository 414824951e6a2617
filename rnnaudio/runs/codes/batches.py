"""Objective and batches of a run over codes; with long-term prediction, batches also hold frames of earlier beats."""

from typing import TypeAlias

import numpy as np

from rnnaudio.data.code_batches import CodeBatch, CodeStreams, fixed_code_windows
from rnnaudio.data.code_past import BeatReader, PastBatch, PastStreams, SequencePast, fixed_past_windows
from rnnaudio.data.codec import Codec
from rnnaudio.data.corpus import Split
from rnnaudio.objectives import NextCodes, NextCodesByBeat
from rnnaudio.progress import bar
from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.codes.model import encoded, frames_of_attention

Batches: TypeAlias = CodeStreams | PastStreams
Windows: TypeAlias = list[CodeBatch] | list[PastBatch]


def objective(config: CodesConfig) -> NextCodes:
    """Make the objective of a run.

    In training, it replaces a share of the input frames by the model's samples. This share rises from 0 to
    ``own_share`` over ``max_updates`` updates.
    """
    kind = NextCodes if config.long_term == "no" else NextCodesByBeat
    return kind(own_share=config.own_share, own_rise=config.max_updates)


def training_batches(config: CodesConfig, codec: Codec, sequences: tuple[np.ndarray, ...]) -> Batches:
    """Make the batches of a run from its training sequences of codes, (n_frames, n_stages) each.

    With long-term prediction the beat of each sequence is measured; a transposed copy has its own beat, which is
    slower or faster, because it is resampled.
    """
    streams = CodeStreams(sequences, n_steps=config.n_steps, batch_size=config.batch_size, seed=config.seed)
    if config.long_term == "no":
        return streams
    reader = BeatReader(codec)
    return PastStreams(streams, [SequencePast(s, reader) for s in bar(streams.usable, "beat of each sequence")])


def validation_windows(config: CodesConfig, codec: Codec, split: Split) -> Windows:
    """Cut validation music into windows of codes, each of which a model reads from its initial state.

    A window has ``n_steps`` frames to predict. With attention it is longer by the frames that attention covers, as far
    as the longest piece allows: a window begins without a past, and a model that was trained with a full past must not
    be judged with an empty one. RnnaudioError if all pieces are shorter than a window.
    """
    sequences = tuple(encoded(split, codec))
    longest = max((len(sequence) for sequence in sequences), default=0) - 1
    wanted = config.n_steps + frames_of_attention(config, codec.stft)
    n_steps = max(config.n_steps, min(wanted, longest))
    if config.long_term == "no":
        return fixed_code_windows(sequences, n_steps, config.batch_size)
    return fixed_past_windows(sequences, n_steps, config.batch_size, BeatReader(codec))
