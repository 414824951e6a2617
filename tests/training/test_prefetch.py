"""Batches prepared ahead: the same ones, one ahead at most, and a thread that always ends."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rnnaudio.audio.cleaning import AS_IT_IS
from rnnaudio.data import Batch, RandomWindows, fixed_windows
from rnnaudio.data.corpus import AudioCorpus
from rnnaudio.data.corpus_build import Recording, build_corpus
from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import Dense, Sequential
from rnnaudio.objectives import predict_next
from rnnaudio.optimizers import SGD
from rnnaudio.training import EarlyStopping, Limits, train
from rnnaudio.training.prefetch import prefetched

SIZES = {"frame_size": 40, "n_steps": 5, "batch_size": 3}


class Recorder:
    """Batches that note which were asked for, and by which thread; ``wrong`` may raise for some."""

    batches_per_epoch = 10
    carries_state = False

    def __init__(self, wrong=None):
        self.asked, self.threads, self.wrong = [], set(), wrong

    def batch(self, index):
        self.asked.append(index)
        self.threads.add(threading.current_thread().name)
        if self.wrong and index == 5:
            raise self.wrong
        frames = np.random.default_rng(index).standard_normal((6, 3, 4)).astype("float32")
        return Batch(frames, np.ones(3, bool))


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("rnnaudio-batches")]


def run(folder, batches, n_updates=8, **options):
    model = Sequential([Dense(4, 4, rng=np.random.default_rng(0))])
    validation = [Recorder().batch(1000)]
    settings = {"optimizer": SGD(0.01), "stopping": EarlyStopping(100), "on_validation": lambda row: None}
    return model, train(
        model, predict_next, batches, validation, run_dir=folder, limits=Limits(n_updates, validate_every=4),
        **settings | options,
    )  # fmt: skip


def test_items_come_in_order_and_one_ahead_at_most():
    recorder = Recorder()
    with prefetched(recorder.batch, range(3, 9)) as coming:
        assert recorder.asked == []
        for index in range(3, 9):
            batch = next(coming)
            assert np.array_equal(batch.frames, Recorder().batch(index).frames)
            assert set(recorder.asked) <= set(range(3, min(index + 2, 9)))
        assert list(coming) == []
    assert recorder.asked == list(range(3, 9)) and not reading_threads()
    assert all(name.startswith("rnnaudio-batches") for name in recorder.threads)


def test_the_next_batch_is_prepared_while_the_one_before_is_in_use():
    reached = threading.Event()

    def batch(index):
        if index == 1:
            reached.set()
        return index

    with prefetched(batch, range(2)) as coming:
        assert next(coming) == 0
        assert reached.wait(timeout=60)


def test_no_batch_is_read_once_the_block_has_ended():
    started, go_on, asked = threading.Event(), threading.Event(), []

    def batch(index):
        asked.append(index)
        if index == 1:
            started.set()
            go_on.wait(timeout=60)
        return index

    with prefetched(batch, range(100)) as coming:
        next(coming)
        started.wait(timeout=60)
        threading.Timer(0.05, go_on.set).start()
    assert go_on.is_set() and asked == [0, 1] and not reading_threads()


def test_training_reads_each_batch_once_and_none_beyond_its_limit(tmp_path):
    recorder = Recorder()
    run(tmp_path, recorder)
    assert recorder.asked == list(range(8)) and not reading_threads()


@pytest.mark.parametrize("wrong", [RnnaudioError("the corpus was closed"), ZeroDivisionError("a bug")])
def test_an_error_in_the_thread_is_raised_by_train_when_its_batch_is_due(tmp_path, wrong):
    updates = []
    with pytest.raises(type(wrong), match=str(wrong)):
        run(tmp_path, Recorder(wrong), on_update=updates.append)
    assert updates == [0, 1, 2, 3, 4, 5]  # the five updates before it were made
    assert not reading_threads()


def test_an_error_beyond_the_end_of_the_run_harms_nobody(tmp_path):
    _, result = run(tmp_path, Recorder(RnnaudioError("never needed")), 5)
    assert result.n_updates == 5 and result.is_complete


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_thread_too(tmp_path, times):
    def press(update):
        if update == 3:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    recorder = Recorder()
    if times == 1:
        _, result = run(tmp_path, recorder, on_update=press)
        assert result.n_updates == 4 and "Ctrl-C" in result.reason
    else:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, recorder, on_update=press)
    assert set(recorder.asked) <= {0, 1, 2, 3, 4} and not reading_threads()


@pytest.fixture(scope="module")
def corpus_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "a.h5"
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 40_000).astype("float32")
    recordings = [Recording(split, "", "", split, lambda: (audio, 8000)) for split in ("train", "valid", "test")]
    build_corpus(recordings, path, sample_rate_hz=8000, progress=False, cleaning=AS_IT_IS)
    return path


def test_two_threads_read_one_corpus_file_at_once(corpus_path):
    with AudioCorpus.open(corpus_path) as corpus:
        batches = RandomWindows(corpus.train, seed=0, **SIZES)
        alone = [batches.batch(index).frames for index in range(200)]
        validation = fixed_windows(corpus.valid, **SIZES)
        with ThreadPoolExecutor(1) as executor:
            other = executor.submit(lambda: [batches.batch(index).frames for index in range(200)])
            while not other.done():
                here = fixed_windows(corpus.valid, **SIZES)
                assert all(np.array_equal(a.frames, b.frames) for a, b in zip(here, validation, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(alone, other.result(), strict=True))


def test_a_corpus_closed_too_early_is_said_in_the_main_thread(corpus_path, tmp_path):
    corpus = AudioCorpus.open(corpus_path)
    batches = RandomWindows(corpus.train, seed=0, **SIZES)
    model = Sequential([Dense(40, 40, rng=np.random.default_rng(0))])
    with pytest.raises(RnnaudioError, match="the corpus was closed"):
        train(
            model, predict_next, batches, [batches.batch(0)], optimizer=SGD(0.01), stopping=EarlyStopping(9),
            run_dir=tmp_path, limits=Limits(9), on_update=lambda update: corpus.close() if update == 3 else None,
        )  # fmt: skip
    assert not reading_threads()
