"""Levels against the definition, there and back; what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnaudio.data.quantize import Quantizer
from rnnaudio.errors import RnnaudioError
from tests.support.sounds import spoilt


@pytest.mark.parametrize("n_levels", [2, 16, 255, 256, 65536])
@pytest.mark.parametrize("law", ["mu", "linear"])
def test_levels_survive_the_way_back(law, n_levels):
    quantizer = Quantizer(3.0, n_levels, law)
    levels = np.arange(n_levels)
    there = quantizer.samples(levels)
    assert (np.diff(there) > 0).all() and there[-1] == pytest.approx(3.0) == -there[0]
    again = quantizer.levels(there)
    np.testing.assert_array_equal(again, levels)
    assert again.dtype == (np.uint8 if n_levels <= 256 else np.uint16)


@given(st.floats(-4.0, 4.0), st.sampled_from(["mu", "linear"]))
def test_a_sample_goes_to_the_nearest_level_in_the_law_s_scale(sample, law):
    quantizer = Quantizer(2.0, 256, law)
    x = np.clip(sample / 2.0, -1.0, 1.0)
    v = np.sign(x) * np.log(1 + 255 * abs(x)) / np.log(256) if law == "mu" else x
    level = int(quantizer.levels(np.array([sample]))[0])
    assert abs(quantizer.values(level) - v) <= 1.0 / 255 + 1e-12


def test_the_mu_law_is_better_for_quiet_sounds_and_worse_for_loud_ones():
    noise = np.random.default_rng(0).standard_normal(5000)

    def error_db(law, size):
        quantizer = Quantizer(1.0, 256, law)
        x = size * noise
        return 10 * np.log10(np.mean((quantizer.samples(quantizer.levels(x)) - x) ** 2) / np.mean(x**2))

    assert error_db("mu", 0.01) < error_db("linear", 0.01) - 10
    assert error_db("mu", 0.25) > error_db("linear", 0.25) + 1
    # A quantisation error of a twelfth of a step squared, of a step of 2 / 255.
    assert error_db("linear", 0.2) == pytest.approx(10 * np.log10((2 / 255) ** 2 / 12 / 0.04), abs=0.3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Quantizer(1.0, law="a"), "law is 'a'"),
        (lambda: Quantizer(1.0, 1), "n_levels is 1"),
        (lambda: Quantizer(0.0), "peak is 0.0"),
        (lambda: Quantizer(1.0).levels(spoilt(9)), "NaN or infinite"),
    ],
)
def test_what_is_refused(build, message):
    with pytest.raises(RnnaudioError, match=message):
        build()
