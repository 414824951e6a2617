"""Pieces that are shorter than a window or a prime: counted aloud, used where they can be, refused with the length."""

import json
from functools import partial

import numpy as np
import pytest

from rnnaudio.data import AudioCorpus
from rnnaudio.data.corpus_build import Recording
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.recipes import recipe_named
from rnnaudio.runs.record import SavedRun
from tests.support.corpora import build
from tests.support.recordings import music

RATE = 8000
in_full = partial(pytest.param, marks=pytest.mark.slow)
# Settings of small runs, and what a window of training and of validation has in samples, by hand.
FRAMES = ["--recipe", "frames", "--frame-size", 40, "--n-steps", 99, "--batch-size", 4, "--n-units", 6]
CODES = [
    "--recipe", "codes", "--window-samples", 256, "--hop-samples", 64, "--n-codes", 8, "--n-components", 4,
    "--n-units", 8, "--n-steps", 50, "--batch-size", 4, "--n-stages", 1, "--transpose", 2,
]  # fmt: skip
SAMPLES = [
    "--recipe", "samples", "--frames", 16, 4, "--window", 4, "--n-units", 8, "--n-steps", 3984, "--n-valid", 1600,
    "--batch-size", 4, "--n-taps", 4, "--valid-stretches", 3,
]  # fmt: skip
KINDS = {
    "frames": (FRAMES, 100 * 40, 100 * 40),
    "shifted": ([*FRAMES, "--batches", "shifted"], 100 * 40 + 3, 100 * 40),
    "codes": ([*CODES, "--no-join-pieces"], 256 + 50 * 64, 256 + 50 * 64),
    "codes joined": (CODES, 256, 256 + 50 * 64),
    "samples": (SAMPLES, 16 + 3984, 16 + 1600),
}
SHORTER = {
    "frames": [*FRAMES, "--n-steps", 20],
    "codes": [*CODES, "--n-steps", 20],
    "samples": [*SAMPLES, "--n-steps", 1600],
}


@pytest.fixture(autouse=True)
def playing_is_short(monkeypatch):
    monkeypatch.setattr("rnnaudio.runs.codes.budget.SECONDS", 1.0)
    monkeypatch.setattr("rnnaudio.runs.codes.choice.N_PRIMES", 1)
    for recipe in ("frames", "codes", "samples"):
        monkeypatch.setattr(type(recipe_named(recipe)), "seconds", 1.0)


def corpus_of(path, lengths):
    """A corpus of pieces of the given lengths in samples, by split; nothing is joined."""
    recordings = []
    for split, of_split in lengths.items():
        for k, n in enumerate(of_split):
            audio = music(len(recordings), 4.0)[:n]
            recordings.append(Recording(f"{split} {k}", "", "", split, lambda audio=audio: (audio, RATE), "as it is"))
    build(path, recordings)
    return path


@pytest.mark.parametrize("kind", [in_full(kind) if kind != "frames" else kind for kind in KINDS])
def test_what_is_too_short_is_counted_aloud_and_recorded(tmp_path, command, kind):
    settings, n_train, n_valid = KINDS[kind]
    lengths = {
        "train": [24_000, n_train, n_train - 1] + [1200] * 8,
        "valid": [24_000, n_valid, n_valid - 1],
        "test": [24_000],
    }
    corpus = corpus_of(tmp_path / "a.h5", lengths)
    needs = {"train": n_train, "valid": n_valid}
    usable = {split: [n for n in lengths[split] if n >= need] for split, need in needs.items()}
    status, out, err = command("train", corpus, tmp_path / "run", *settings, "--max-updates", 1, "--minutes", 0.01)
    assert status == 0, err
    n_short = {split: len(lengths[split]) - len(usable[split]) for split in usable}
    line = f"training on {sum(usable['train']) / RATE:.1f} of {sum(lengths['train']) / RATE:.1f} s"
    count = f"{n_short['train']} piece{'s are' if n_short['train'] > 1 else ' is'}"
    assert f"{line}: {count} shorter than a window of {n_train / RATE:.3g} s\n" in out
    assert (
        f"validating on {sum(usable['valid']) / RATE:.1f} of {sum(lengths['valid']) / RATE:.1f} s: 1 piece is" in out
    )
    for record in (json.loads((tmp_path / "run/config.json").read_text()), saved(tmp_path / "run")):
        assert record["usable"]["train"] == {
            "usable_seconds": round(sum(usable["train"]) / RATE, 3),
            "of_seconds": round(sum(lengths["train"]) / RATE, 3),
            "too_short_pieces": n_short["train"], "window_seconds": round(n_train / RATE, 6),
        }  # fmt: skip


def saved(run_dir):
    return SavedRun.read(run_dir).settings


def test_a_corpus_of_long_pieces_is_used_whole(tmp_path, command):
    corpus = corpus_of(tmp_path / "a.h5", {"train": [16_000, 24_000], "valid": [16_000], "test": [16_000]})
    status, out, _ = command("train", corpus, tmp_path / "run", *FRAMES, "--max-updates", 1)
    assert status == 0 and "training on 5.0 of 5.0 s\n" in out and "validating on" not in out and "note" not in out


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_corpus_without_a_long_enough_piece_is_refused(tmp_path, command, kind, split):
    settings, *needs = KINDS[kind]
    need = dict(zip(("train", "valid"), needs, strict=True))[split]
    lengths = {"train": [24_000], "valid": [24_000], "test": [24_000]} | {split: [need - 1] * 40}
    corpus = corpus_of(tmp_path / "a.h5", lengths)
    status, _, err = command("train", corpus, tmp_path / "run", *settings, "--max-updates", 1)
    words = "training" if split == "train" else "validation"
    assert status == 2 and not (tmp_path / "run").exists() and len(err.strip().splitlines()) == 1
    assert f"the longest {words} piece has {(need - 1) / RATE:.3g} s ({need - 1} samples), a window needs " in err
    assert f"{need / RATE:.3g} s ({need}): lower " in err


@pytest.mark.parametrize("kind", ["frames", in_full("codes"), in_full("samples")])
def test_thirty_pieces_of_less_than_a_second_train_and_play(tmp_path, command, kind):
    """As an earlier version stored them, not joined: the prime is what there is."""
    n = round(0.6 * RATE)
    corpus = corpus_of(tmp_path / "a.h5", {"train": [n] * 24, "valid": [n] * 3, "test": [n, n - 7, n - 100]})
    run = tmp_path / "run"
    status, out, err = command("train", corpus, run, *SHORTER[kind], "--max-updates", 2, "--minutes", 0.01)
    assert status == 0, err
    assert "note: no test piece has 1 s: the report continues a prime of 0.6 s\n" in out
    assert "training on 14.4 of 14.4 s\n" in out and (run / "report.html").exists()
    generate = ["generate", run, tmp_path / "x.wav", "--seconds", 0.2, "--overwrite"]
    status, out, err = command(*generate)
    assert status == 0 and "note: no test piece has 1 s: the prime has 0.6 s" in err and "0.60 s prime" in out
    status, out, err = command(*generate, "--prime-seconds", 0.5)
    assert status == 0 and "the prime has" not in err and "0.50 s prime" in out
    assert command("diagnose", run)[0] == 0


@pytest.mark.parametrize("seconds, wanted, expected", [
    ([2.0, 0.5], 1.0, 1.0), ([0.5, 0.6], 1.0, 0.6), ([0.2], 1.0, 0.2), ([0.6], 0.05, 0.05), ([1.0], 1.0, 1.0),
    ([0.19], 1.0, None), ([0.1], 0.15, None), ([0.6], 0.0, None), ([0.6], -1.0, None), ([0.6], 1e-6, None),
])  # fmt: skip
def test_the_length_of_a_prime(tmp_path, seconds, wanted, expected):
    lengths = {"train": [8000], "valid": [8000], "test": [round(s * RATE) for s in seconds]}
    with AudioCorpus.open(corpus_of(tmp_path / "a.h5", lengths)) as corpus:
        if expected is None:
            with pytest.raises(RnnaudioError, match=f"have up to {max(seconds):.3f} s"):
                corpus.test.prime_length(wanted)
        else:
            assert corpus.test.prime_length(wanted) == pytest.approx(expected, abs=1e-12)
            assert corpus.test.prime_at(3, corpus.test.prime_length(wanted)).size == round(expected * RATE)
            assert np.isfinite(corpus.test.prime_at(0, expected)).all()


def test_a_prime_shorter_than_a_frame_is_refused(tmp_path, command):
    corpus = corpus_of(tmp_path / "a.h5", {"train": [24_000], "valid": [24_000], "test": [2000]})
    wide = ["--recipe", "frames", "--frame-size", 2001, "--n-steps", 4, "--batch-size", 2, "--n-units", 4]
    status, _, err = command("train", corpus, tmp_path / "run", *wide, "--max-updates", 1)
    assert status == 2 and "prime of 1 s: the pieces of the split 'test' have up to 0.250 s" in err
    assert not (tmp_path / "run").exists()
