"""Kernels give the same bits on any number of threads, which share work, fail and fork cleanly."""

import subprocess
import sys
import time

import numpy as np
import pytest

from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels import dense, draw, gaussian_mixture, gru, logistic, lstm, memory_lstm, threads
from rnnaudio.kernels.product import column_sums, product


@pytest.fixture
def same_on_all(use_threads, monkeypatch):
    """Assert that a function gives the same bits on any number of threads; little work is shared out, too."""
    monkeypatch.setattr(threads, "LEAST_WORK", 1)

    def check(compute):
        use_threads(1)
        alone = [array.copy() for array in compute()]
        assert all(np.isfinite(array).all() for array in alone)
        for n_threads in (2, 3, 2):
            use_threads(n_threads)
            for one, other in zip(alone, compute(), strict=True):
                np.testing.assert_array_equal(one, other)

    return check


def test_products_and_recurrences_do_not_depend_on_the_number_of_threads(same_on_all):
    rng = np.random.default_rng(7)
    n, batch = 37, 29

    def f(*shape):
        return rng.standard_normal(shape).astype("float32")

    x, h0, c0, dh, narrow = f(5, batch, 11), f(batch, n), f(batch, n), f(5, batch, n), f(5, batch, n)
    mask, nothing = rng.integers(0, 2, (5, batch)).astype("int8"), np.zeros((0, 0, 0), "float32")
    of_lstm, of_gru = (f(11, 4 * n), f(n, 4 * n), f(4 * n)), (f(11, 3 * n), f(n, 3 * n), f(3 * n))
    p, m0, dm = f(3, n), f(batch, 2 * n), f(5, batch, 2 * n)
    of_memory = 0.1 * f(2 * n, 6 * n), f(6 * n), 0.1 * f(2 * n, 3 * n), f(3 * n)
    noise = f(5, batch, 12 * n), f(5, batch, 6 * n)
    a, b, wide = f(64, 300), f(300, 400), f(70, 400)

    def everything():
        c, y, dz = np.empty((64, 400), "float32"), np.empty_like(wide), np.empty_like(wide)
        product(a, b, c)
        dense.add_bias("tanh", wide, b[0], y)
        dense.activation_gradient("tanh", y, wide, dz)
        one = lstm.forward(x, *of_lstm, p, h0, c0, mask)
        two = gru.forward(x, *of_gru, h0, mask)
        three = memory_lstm.forward(narrow, *of_memory, m0, mask, *noise, 0.1)
        return [
            *(c, y, dz, column_sums(wide), *one, *two, *three),
            *lstm.backward(of_lstm[1], p, h0, c0, mask, one, dh, nothing),
            *gru.backward(of_gru[1], h0, mask, two, dh),
            *memory_lstm.backward(narrow, of_memory[0], of_memory[2], m0, mask, three, dm),
        ]

    same_on_all(everything)


@pytest.mark.parametrize("grids", [draw.Grids(4, 5, 0, 0), draw.Grids(4, 5, 3, 2)], ids=["whole", "by filters"])
def test_paintings_do_not_depend_on_the_number_of_threads(same_on_all, grids):
    rng = np.random.default_rng(8)
    n_steps, batch, n, m, n_pixels = 3, 29, 9, 2, 20
    n_seen, n_stroke = (2 * 3**2, 2**2 + 5) if grids.n_read else (n_pixels, n_pixels)

    def f(*shape):
        return 0.5 * rng.standard_normal(shape)

    place = (f(n, 5), f(5)) if grids.n_read else (np.zeros((0, 0)), np.zeros(0))
    of_lstms = f(n_seen + 2 * n, 4 * n), f(4 * n), f(n, 2 * m), f(2 * m), f(m + n, 4 * n), f(4 * n)
    weights = draw.Weights(*of_lstms, f(n, n_stroke), f(n_stroke), *place)
    start = draw.States(*(f(batch, n) for _ in range(4)), f(batch, n_pixels), f(batch, m))
    prepared, noise = f(1, batch, n_pixels if grids.n_read else 4 * n), f(n_steps, batch, m)
    d_states = draw.States(*(f(n_steps, *x.shape) for x in start))

    def painted():
        states, kept = draw.forward(prepared, noise, weights, start, grids)
        back = draw.backward(prepared, noise, weights, start, grids, states, kept, d_states)
        given = [d for d, w in zip(back.weights, weights, strict=True) if w.size]
        return [*states, *kept, back.prepared, *given, *back.start]

    same_on_all(painted)


def test_likelihoods_do_not_depend_on_the_number_of_threads(same_on_all):
    rng = np.random.default_rng(9)
    said, d_nats = rng.standard_normal((29, 3 * 2, 4)), rng.standard_normal((29, 4))
    levels, values = rng.integers(0, 11, (29, 4)), rng.standard_normal((29, 4))

    def everything():
        of_levels, of_values = (levels, 11, 0.1, 1e-3), (values, 1e-3)
        return [
            logistic.nats(said, *of_levels),
            *logistic.gradients(said, levels, d_nats, *of_levels[1:]),
            gaussian_mixture.nats(said, *of_values),
            *gaussian_mixture.gradients(said, values, d_nats, *of_values[1:]),
        ]

    same_on_all(everything)


def test_work_is_shared_out_once_and_completely(use_threads):
    use_threads(3)
    assert len(threads.split(100, work=2 * threads.LEAST_WORK)) == 2
    assert len(threads.split(100, work=threads.LEAST_WORK - 1)) == 1
    for n, multiple in ((1, 8), (8, 8), (9, 8), (64, 8), (7, 1), (100, 6)):
        shares = threads.split(n, multiple)
        assert [i for first, last in shares for i in range(first, last)] == list(range(n))
        assert len(shares) <= 3 and all(first % multiple == 0 for first, _ in shares)


def test_an_error_in_a_thread_is_raised(use_threads):
    use_threads(2)

    def work(k):
        if k == 1:
            raise ValueError("one share failed")

    with pytest.raises(ValueError, match="one share failed"):
        threads.run(work, [(0,), (1,)])


@pytest.mark.parametrize("value", ["none", "0", "-1", "1.5"])
def test_a_bad_number_of_threads_is_refused(monkeypatch, value):
    monkeypatch.setenv("RNNAUDIO_THREADS", value)
    with pytest.raises(RnnaudioError, match="RNNAUDIO_THREADS is .* expected a number of threads"):
        threads._chosen()


def test_all_shares_are_done_before_an_error_is_raised(use_threads):
    use_threads(2)
    done = []

    def work(k):
        if k == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        done.append(k)

    with pytest.raises(KeyboardInterrupt):
        threads.run(work, [(0,), (1,)])
    assert done == [1]


def test_a_forked_child_has_working_threads(use_threads):
    use_threads(2)
    code = (
        "import os, sys; from rnnaudio.kernels import threads; threads.set_n_threads(2);"
        "threads.run(print, [('',), ('',)]);"
        "child = os.fork();"
        "child or (threads.run(print, [('',), ('',)]), os._exit(0));"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False).returncode == 0
