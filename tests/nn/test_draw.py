"""DRAW: against plain NumPy, closed forms, finite differences; its data, pictures, experiment and mistakes."""

import dataclasses

import numpy as np
import pytest

from rnnaudio import engine, losses, plots
from rnnaudio.data import ImageBatch, ImageBatches, binarised, checked_images, in_batches, nearest
from rnnaudio.diagnostics.gradient_check import check_gradients
from rnnaudio.engine import tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.generation.painting import reconstruct_images, sample_images
from rnnaudio.nn import Context, Draw, Painter, attention
from rnnaudio.nn.draw import DrawInputs
from rnnaudio.nn.layer import flatten
from rnnaudio.objectives import Bound
from rnnaudio.training import Evaluation
from rnnaudio.training import checkpoint as checkpoints
from tests.support import oracle_draw as oracle
from tests.support.gradient_cases import randomise

SIZE, N_UNITS, N_CODES, N_STEPS = (4, 5), 3, 2, 3
GRIDS = [(0, 0), (3, 2), (1, 1), (3, 0), (0, 2)]
KEY = np.array([2016, 3])
images_of = np.random.default_rng(5).random((6, 20))


def built(n_read, n_write, dtype="float64", **options):
    rng = np.random.default_rng(2016)
    with engine.precision(dtype):
        return randomise(Draw(SIZE, N_UNITS, N_CODES, rng=rng, n_read=n_read, n_write=n_write, **options), rng)


def numbers_of(rng, n=6):
    return rng.standard_normal((n, 5)) * 0.5


# --- the grid of filters --------------------------------------------------------------------------------------------


def symbolic(make, *values):
    """The value of ``make(*variables)`` in float64."""
    with engine.precision("float64"):
        variables = [engine.tensor("", value.ndim) for value in values]
        return engine.function(variables, make(*variables), mode="python")(*values)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_read_and_write_are_the_oracle_s(n):
    rng = np.random.default_rng(n)
    numbers, images, patches = numbers_of(rng), rng.random((6, *SIZE)), rng.standard_normal((6, n, n))

    def both(numbers, images, patches):
        at = attention.window(numbers, SIZE, n)
        of = attention.banks(at, SIZE, n)
        return [attention.read(images, at, of), attention.write(patches, at, of)]

    seen, painted = symbolic(both, numbers, images, patches)
    for k in range(6):
        np.testing.assert_allclose(seen[k], oracle.read(images[k], numbers[k], n).reshape(-1), rtol=1e-10)
        expected = oracle.write(patches[k], numbers[k], SIZE).reshape(-1)
        np.testing.assert_allclose(painted[k], expected, rtol=1e-10, atol=1e-14)


def test_rows_of_a_filter_bank_sum_to_one_wherever_it_lies():
    rng = np.random.default_rng(0)
    numbers = numbers_of(rng) * np.array([40, 40, 4, 2, 1])  # far outside the image, and very narrow ones
    bank = symbolic(lambda v: attention.banks(attention.window(v, SIZE, 3), SIZE, 3).columns, numbers)
    np.testing.assert_allclose(bank.sum(axis=2), 1.0, rtol=1e-12)
    assert bank.shape == (6, 3, 5) and (bank >= 0).all()


def test_a_grid_as_fine_as_the_image_is_the_identity():
    """N = A, stride 1, variance towards 0, gamma 1: each filter is a pixel."""
    images = np.random.default_rng(1).random((2, 4, 4))
    numbers = np.tile([0.0, 0.0, np.log(1e-3), 0.0, 0.0], (2, 1))

    def both(numbers, images):
        at = attention.window(numbers, (4, 4), 4)
        of = attention.banks(at, (4, 4), 4)
        return [attention.read(images, at, of), attention.write(images, at, of)]

    for y in symbolic(both, numbers, images):
        np.testing.assert_allclose(y, images.reshape(2, 16), atol=1e-12)


def test_intensity_brightens_what_is_read_and_dims_what_is_written():
    numbers, image = np.array([[0.1, 0.2, 0.0, -0.5, np.log(3.0)]]), np.ones((1, *SIZE))

    def both(numbers, image):
        at = attention.window(numbers, SIZE, 2)
        of = attention.banks(at, SIZE, 2)
        return [attention.read(image, at, of), attention.write(tt.ones((1, 2, 2)), at, of)]

    seen, painted = symbolic(both, numbers, image)
    np.testing.assert_allclose(seen, 3.0)  # of a white image: rows sum to one
    np.testing.assert_allclose(painted.sum(), 4 / 3.0)  # four filters of weight one each


# --- the model ------------------------------------------------------------------------------------------------------


@pytest.mark.modes
@pytest.mark.parametrize("n_read, n_write", GRIDS)
def test_canvases_divergences_and_bound_are_the_oracle_s(n_read, n_write):
    model = built(n_read, n_write)
    with engine.precision("float64"):
        x = engine.tensor("images", 2)
        context = Context.training_with(KEY)
        states = model.paint(x, N_STEPS, model.initial_state(x.shape[0]), context)
        bound = Bound(N_STEPS).outcome(model, [x], model.initial_state(x.shape[0]), Context.training_with(KEY)).loss
        noise = engine.normal(KEY, 0, [N_STEPS, x.shape[0], N_CODES])
        function = engine.function([x], [states.painter.canvas, states.nats, bound, noise])
    canvases, nats, value, draws = function(images_of)
    parameters = model.get_values()
    expected = [oracle.paint(image.reshape(SIZE), draws[:, k], parameters, n_read, n_write)
                for k, image in enumerate(images_of)]  # fmt: skip
    for k, one in enumerate(expected):
        np.testing.assert_allclose(canvases[:, k], one.canvases, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(nats[:, k], np.cumsum(one.kl, axis=0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(value, np.mean([one.bound for one in expected]), rtol=1e-10)


@pytest.mark.parametrize(
    "n_read, n_write", [*GRIDS[:2], *(pytest.param(*grid, marks=pytest.mark.slow) for grid in GRIDS[2:])]
)
def test_the_equation_of_two_steps_is_the_oracle_s(n_read, n_write):
    """What scan loops over, which the kernels compute otherwise."""
    model, draws = built(n_read, n_write), np.random.default_rng(8).standard_normal((2, 6, N_CODES))
    with engine.precision("float64"):
        x, noise = engine.tensor("images", 2), engine.tensor("noise", 3)
        state = model.initial_state(x.shape[0])
        for step in range(2):
            state = model.recur(DrawInputs(model.reader.prepare(x), noise[step]), state)
        canvas, nats = engine.function([x, noise], [state.painter.canvas, state.nats], mode="python")(images_of, draws)
    parameters = model.get_values()
    assert (model.reader.n_in, model.reader.n_out) == (20, 4 * N_UNITS)
    for k, image in enumerate(images_of):
        one = oracle.paint(image.reshape(SIZE), draws[:, k], parameters, n_read, n_write)
        np.testing.assert_allclose(canvas[k], one.canvases[-1], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(nats[k], one.kl.sum(axis=0), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_read, n_write", GRIDS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_gradient_of_the_bound(n_read, n_write, likelihood):
    """By the kernels; those of the scan are in test_gradients.py."""
    if engine.kernel() == "scan":
        pytest.skip("of the scan: test_gradients.py")
    model = built(n_read, n_write, learns_std=likelihood == "gaussian")
    objective = Bound(N_STEPS, likelihood)
    report = check_gradients(
        model, objective, ImageBatch(images_of), rng=np.random.default_rng(1), n_entries=6, mode="python"
    )
    assert report.largest < 1e-6, report
    unused = {array.name for array in report.arrays if array.largest_gradient == 0}
    # The nats before the first step are added and the rest sees them nowhere: their gradient is one.
    assert not unused, unused


def test_painter_paints_what_draw_paints_from_the_same_codes():
    """Without noise a code is its mean; what it is made of by hand, the painter alone must give the same canvas."""
    model = built(0, 2)
    with engine.precision("float64"):
        x, codes = engine.tensor("images", 2), engine.tensor("codes", 3)
        states = model.paint(x, N_STEPS, model.initial_state(x.shape[0]), Context.evaluation())
        means = tt.dot(states.encoder.hidden, model.codes.weight)[:, :, :N_CODES] + model.codes.bias[:N_CODES]
        alone, _ = model.painter.unroll(codes, model.painter.initial_state(6), Context.evaluation())
        canvases, given = engine.function([x], [states.painter.canvas, means], mode="python")(images_of)
        again = engine.function([codes], alone, mode="python")(given)
    np.testing.assert_allclose(again, canvases, rtol=1e-12)


def test_the_first_canvas_is_the_given_mean():
    painter = Painter(2, SIZE, 3, rng=np.random.default_rng(0))
    mean = np.linspace(0.05, 0.95, 20)
    painter.start_from(mean)
    start = engine.function([], engine.sigmoid(painter.initial_state(2).canvas), mode="python")()
    np.testing.assert_allclose(start, [mean, mean], rtol=1e-6)
    painter.start_from(np.tile([0.0, 1.0], 10))
    assert np.isfinite(painter.get_values()["canvas"]).all()


def test_paint_is_unroll_on_an_image_that_stands_still():
    model = built(3, 2)
    with engine.precision("float64"):
        x = engine.tensor("images", 2)
        states = model.paint(x, N_STEPS, model.initial_state(6), Context.training_with(KEY))
        still = tt.zeros((N_STEPS, 6, 20), dtype="float64") + x.dimshuffle("x", 0, 1)
        canvas, final = model.unroll(still, model.initial_state(6), Context.training_with(KEY))
        values = engine.function([x], [states.painter.canvas, canvas, states.nats[-1], final.nats])(images_of)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
    np.testing.assert_allclose(values[2], values[3], rtol=1e-12)


# --- the objective --------------------------------------------------------------------------------------------------


def test_nats_of_bernoulli_and_gaussian_pixels():
    rng = np.random.default_rng(3)
    logits, x = 3 * rng.standard_normal((4, 7)), rng.random((4, 7))
    q = oracle.sigmoid(logits)
    expected = -np.sum(x * np.log(q) + (1 - x) * np.log(1 - q), axis=1)
    np.testing.assert_allclose(symbolic(losses.bernoulli_nats, logits, x), expected, rtol=1e-12)
    huge = symbolic(losses.bernoulli_nats, np.array([[800.0, -800.0]]), np.array([[1.0, 1.0]]))
    np.testing.assert_allclose(huge, 800.0)
    from scipy.stats import norm

    got = symbolic(lambda logits, x: losses.pixel_nats(logits, np.log(0.3), x), logits, x)
    np.testing.assert_allclose(got, -norm.logpdf(x, q, 0.3).sum(axis=1), rtol=1e-12)


def test_divergence_is_zero_where_the_codes_are_the_prior_and_the_bound_of_grey_is_log_two():
    model = Draw(SIZE, N_UNITS, N_CODES, rng=np.random.default_rng(0))
    model.set_values({name: np.zeros_like(value) for name, value in model.get_values().items()})
    found = Evaluation(model, Bound(N_STEPS), noise_seed=1)(in_batches(images_of.astype("float32"), 4))
    assert found["kl"] == pytest.approx(0.0, abs=1e-6)
    assert found["bound"] == found["reconstruction"] == pytest.approx(20 * np.log(2), rel=1e-6)


def test_a_bound_without_draws_or_of_another_model_is_refused():
    model = built(0, 0, "float32")
    with pytest.raises(ValueError, match="needs sampled codes"):
        Evaluation(model, Bound(N_STEPS))
    painter = Painter(2, SIZE, 3, rng=np.random.default_rng(0))
    with pytest.raises(RnnaudioError, match="of Painter; expected a Draw"):
        Bound(N_STEPS).outcome(painter, [None], None, Context.training_with(KEY))


# --- data -----------------------------------------------------------------------------------------------------------


def test_binary_digits_have_the_grey_digits_mean_and_depend_on_the_key_alone():
    grey = np.full((300, 100), 0.3, np.float32)
    one = binarised(grey, (1, 2))
    assert set(np.unique(one)) == {0.0, 1.0} and one.dtype == np.float32
    assert one.mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / one.size))
    np.testing.assert_array_equal(one, binarised(grey, (1, 2)))
    assert (one != binarised(grey, (1, 3))).any()


def test_batches_hold_each_image_once_an_epoch_and_are_binary_anew():
    grey = np.tile(np.arange(10, dtype=np.float32)[:, None] / 20, (1, 200))
    plain = ImageBatches(grey, 5, seed=7, binary=False)
    seen = np.concatenate([plain.batch(k).images for k in range(2)])
    np.testing.assert_array_equal(np.sort(seen[:, 0]), grey[:, 0])
    binary = ImageBatches(grey, 5, seed=7)
    first, again = binary.batch(0).images, binary.batch(0).images
    np.testing.assert_array_equal(first, again)
    # All in one batch, sorted by how grey they are: the order of an epoch is gone, only the draws are left.
    epochs = [sorted(ImageBatches(grey, 10, seed=7).batch(k).images.tolist(), key=sum) for k in (0, 1)]
    assert (np.array(epochs[0]) != np.array(epochs[1])).mean() > 0.1
    np.testing.assert_allclose(first.mean(axis=1), plain.batch(0).images[:, 0], atol=0.15)
    assert len(in_batches(grey, 4)) == 3 and len(in_batches(grey, 4)[-1].images) == 2


def test_nearest_is_brute_force():
    rng = np.random.default_rng(2)
    some, many = rng.random((5, 9), np.float32), rng.random((40, 9), np.float32)
    expected = [np.argmin(np.sum((many - one) ** 2, axis=1)) for one in some]
    np.testing.assert_array_equal(nearest(some, many), expected)


@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros((3, 9)), r"\(3, 9\); expected \(number of images, 20\)"),
        (np.zeros((0, 20)), "at least one"),
        (np.full((3, 20), 255.0), "range from 255 to 255; expected 0 to 1"),
        (np.full((3, 20), np.nan), "60 values that are not finite"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(RnnaudioError, match=message):
        checked_images(images, 20)


def test_mistakes_of_sizes_are_refused():
    for options, message in (({"n_read": 5}, "n_read is 5 .* 4 x 5 pixels"), ({"n_write": -1}, "n_write is -1")):
        with pytest.raises(RnnaudioError, match=message):
            Draw(SIZE, 3, 2, rng=np.random.default_rng(0), **options)
    with pytest.raises(RnnaudioError, match="batch_size is 7"):
        ImageBatches(np.zeros((6, 4), np.float32), 7, seed=0)


# --- what is painted, and the experiment ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("n_read, n_write", GRIDS[:2])
def test_paintings_have_their_shapes_windows_and_are_decided_by_the_seed(n_read, n_write):
    model = built(n_read, n_write, "float32")
    made, again, other = (sample_images(model, 4, N_STEPS, seed) for seed in (1, 1, 2))
    assert made.canvases.shape == (N_STEPS, 4, 20) and made.reads is None
    np.testing.assert_array_equal(made.canvases, again.canvases)
    assert (made.canvases != other.canvases).any()
    shown = reconstruct_images(model, images_of.astype("float32"), N_STEPS, seed=1)
    assert shown.canvases.shape == (N_STEPS, 6, 20) and 0 <= shown.canvases.min() <= shown.canvases.max() <= 1
    if not n_read:
        assert shown.reads is None and shown.writes is None and made.writes is None
        return
    values = model.get_values()
    # The first window that is read is placed by the state before the first step, which is the same for all images.
    numbers = values["painter.decoder.initial_hidden"] @ values["reader.place.weight"] + values["reader.place.bias"]
    width, height = (n_read * side / (n_read - 1) * np.exp(numbers[3]) for side in (4, 3))  # of 5 x 4 pixels
    expected = [3 * (numbers[0] + 1), 2.5 * (numbers[1] + 1), width, height]
    np.testing.assert_allclose(shown.reads[0], np.tile(expected, (6, 1)), rtol=1e-4)
    assert shown.writes.shape == (N_STEPS, 6, 4) and made.writes.shape == (N_STEPS, 4, 4)


def test_windows_are_drawn_where_they_lie_and_pictures_of_other_sizes_are_refused():
    canvases, images = np.zeros((3, 2, 4, 5)), np.zeros((2, 4, 5))
    boxes = np.tile([3.0, 2.5, 2.0, 1.5], (3, 2, 1))  # the middle of 5 x 4 pixels, two pixels wide
    figure = plots.canvas_steps_figure(images, canvases, reads=boxes, writes=boxes)
    (axes,) = figure.axes
    assert len(axes.images) == 2 * 4 and len(axes.patches) == 2 * 3 * 2
    first_read = next(patch for patch in axes.patches if patch.get_x() < 5)
    assert (first_read.get_x(), first_read.get_y()) == (1.5, 1.25)
    assert (first_read.get_width(), first_read.get_height()) == (2.0, 1.5)
    assert len(plots.canvas_steps_figure([], canvases).axes[0].images) == 2 * 3
    assert len(plots.beside_nearest_figure(images, images).axes[0].images) == 4
    with pytest.raises(RnnaudioError, match=r"images \(3, 4, 5\)"):
        plots.canvas_steps_figure(np.zeros((3, 4, 5)), canvases)
    with pytest.raises(RnnaudioError, match=r"neighbours \(1, 4, 5\)"):
        plots.beside_nearest_figure(images, images[:1])


TINY = {
    "attention": True, "n_steps": 2, "n_units": 4, "n_codes": 2, "n_read": 2, "n_write": 2, "batch_size": 5,
    "updates": 4, "n_valid": 10,
}  # fmt: skip


def made_up_digits():
    return np.random.default_rng(1).random((3, 20, 784), np.float32)


def test_the_experiment_refuses_broken_digits_and_runs_that_are_not_there_or_others(tmp_path):
    from experiments.studies import draw

    options, broken = draw.Options(**TINY, resume=True), made_up_digits()
    with pytest.raises(RnnaudioError, match="no run to go on with at .*none: name its folder"):
        draw.run(options, draw.prepared(*broken), tmp_path / "none", tmp_path)
    path, settings = checkpoints.path_in(tmp_path / "run"), draw.Options(**TINY | {"n_units": 5}).settings
    path.parent.mkdir()
    checkpoints.save(path, checkpoints.Checkpoint({}, {"config": {"settings": settings, "n_updates": 4}}))
    with pytest.raises(RnnaudioError, match="n_units 5, now 4"):
        draw.run(options, draw.prepared(*broken), path.parent, tmp_path)
    broken[1, 0, 0] = np.nan
    with pytest.raises(RnnaudioError, match="validation digits hold 1 values that are not finite"):
        draw.prepared(*broken)


@pytest.mark.slow
@pytest.mark.skipif(engine.NAME == "theano", reason="the package's tests cover Theano")
@pytest.mark.long
def test_the_experiment_resumes_and_refuses_other_settings(tmp_path):
    from experiments.studies import draw

    options, digits = draw.Options(**TINY), draw.prepared(*made_up_digits())
    assert set(np.unique(digits.test)) == {0.0, 1.0} and len(np.unique(digits.train)) > 2
    first = draw.run(options, digits, tmp_path / "run", tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {
        f"{options.name}-{what}.png" for what in ("curve", "canvas", "samples")
    }
    resumed = dataclasses.replace(options, resume=True)
    assert draw.run(resumed, digits, tmp_path / "run", tmp_path)["test_bound_nats"] == first["test_bound_nats"]
    with pytest.raises(RnnaudioError, match="n_units 4, now 5"):
        draw.run(dataclasses.replace(resumed, n_units=5), digits, tmp_path / "run", tmp_path)
    (row,) = draw.claims(options, first)
    assert f"{first['test_bound_nats']:.1f} nats" in row["ours"] and "80.97" in row["why"]


def test_flatten_order_is_the_kernel_s():
    """`ops.draw.paint` takes and gives the states in the order of kernels.draw.States."""
    from rnnaudio.kernels.draw import States

    model = built(0, 0)
    sizes = flatten(model.state_sizes)
    assert sizes == [N_UNITS] * 4 + [20, N_CODES] and len(sizes) == len(States._fields)
