"""Measurement of a model with its data, loss, updates and free run, and ranking of the causes of bad results.

Each function ``look_at_...`` is one examination: it measures ``subject`` and its first training batches, ``batches``,
and writes the results into ``measured``; ``rng`` is the source of random numbers. It raises :class:`Unanswerable` if
the subject does not allow this examination, for example if the subject's batches do not hold frames of samples.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnaudio.audio.arrays import Floats, Frames
from rnnaudio.audio.sources import Samples
from rnnaudio.diagnostics.baselines import Pair, baselines, linear_prediction
from rnnaudio.diagnostics.causes import OF_MUSIC, causes
from rnnaudio.diagnostics.cost import Cost, cost_coverage, input_noise_std, measured_target_shift, noise_figures
from rnnaudio.diagnostics.course import course_figures
from rnnaudio.diagnostics.dynamics import Stepped, dynamics_figures, unrolled
from rnnaudio.diagnostics.excerpt import excerpt, rms
from rnnaudio.diagnostics.free_run import health, levels_db
from rnnaudio.diagnostics.pieces import piece_figures
from rnnaudio.diagnostics.probe import probe
from rnnaudio.diagnostics.signal import (
    continuity,
    distinct_size,
    effective_batch_size,
    scale_figures,
    share_found,
    state_figures,
)
from rnnaudio.diagnostics.subject import Cause, Diagnosis, Measurements, Subject, Unanswerable
from rnnaudio.diagnostics.updates import update_figures
from rnnaudio.objectives import STRATEGIES

N_BATCHES = 4
N_PLAYED = 8
N_PRIME_FRAMES = 16
FRAME_SECONDS = 0.0125  # frame in which a free run is measured if the model does not generate in frames
N_NOISY_STEPS, N_NOISY_ITEMS = 8, 4
FREE_SAMPLES, FREE_FRAMES = 80_000, (64, 400)  # length of the free run; limits of its number of frames
N_BASELINE_BATCHES = 8
QUIET_PERCENT = 10
NOT_MEASURED = float("nan")


def diagnose(subject: Subject) -> Diagnosis:
    """Measure the subject, without changing it; returns all measurements, and the causes found, most severe first.

    An examination that the subject does not allow is skipped, and recorded with the reason in
    :attr:`Measurements.unanswered`.
    """
    measured = Measurements()
    rng = np.random.default_rng(2016)
    batches = [subject.batches.batch(k) for k in range(N_BATCHES)]
    for name, look in EXAMINATIONS.items():
        try:
            look(subject, batches, measured, rng)
        except Unanswerable as reason:
            measured.unanswered[name] = str(reason)
    return Diagnosis(causes(measured), measured)


def causes_in_music(
    pieces: Sequence[Samples],
    sample_rate_hz: int,
    held_out: Sequence[Samples] = (),
    full_scale: float | None = None,
) -> tuple[Cause, ...]:
    """Find the causes of bad results that lie in the music alone, most severe first, without a trained model.

    The arguments are those of :func:`rnnaudio.diagnostics.pieces.piece_figures`, with ``held_out`` for ``others``.
    """
    measured = Measurements()
    measure_pieces(measured, pieces, sample_rate_hz, held_out, full_scale)
    return tuple(cause for cause in causes(measured) if cause.name in OF_MUSIC)


def parts_of(subject: Subject, batches: list[Any]) -> list[Any]:
    """Return a small :func:`excerpt` of each batch; raises Unanswerable if the batches do not hold frames."""
    if not hasattr(batches[0], "frames"):
        raise Unanswerable("its batches hold no frames of samples")
    return [excerpt(batch, subject.objective) for batch in batches]


def look_at_sound(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure the pieces (:func:`measure_pieces`), the number of parameters, and the noise added to the input.

    For a model of codes, also measure the share of windows of validation music within the limits of real music, before
    and after coding and decoding. ``batches`` and ``rng`` are not used.
    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    figures = measured.figures
    figures["n_parameters"] = float(sum(v.get_value().size for v in subject.model.parameters().values()))
    figures["input_noise_power"] = input_noise_std(subject.model) ** 2
    measure_pieces(measured, subject.pieces, subject.sample_rate_hz, subject.held_out, subject.full_scale)
    if subject.through_codec is not None:
        figures["recorded_in_range"], figures["coded_in_range"] = subject.through_codec()


def measure_pieces(
    measured: Measurements,
    pieces: Sequence[Samples],
    sample_rate_hz: int,
    held_out: Sequence[Samples] = (),
    full_scale: float | None = None,
) -> None:
    """Measure the training pieces as a whole (scale, clipping, silence), and each piece, held out or not, by itself.

    The results are written into ``measured``. The other arguments are those of
    :func:`rnnaudio.diagnostics.pieces.piece_figures`, with ``held_out`` for ``others``.
    """
    figures = measured.figures
    measured.pieces = rows = piece_figures(pieces, sample_rate_hz, held_out, full_scale)
    trained = [row for row in rows if not row.held_out]
    figures["n_pieces"] = float(len(pieces) + len(held_out))
    figures["train_seconds"] = sum(piece.n_samples for piece in pieces) / sample_rate_hz
    figures["silent_share"] = sum(row.seconds * row.silence for row in trained) / sum(row.seconds for row in trained)
    scale = scale_figures(pieces)
    figures |= {"data_std": scale.std, "data_dc": scale.dc, "samples_at_ends": scale.at_ends}
    figures |= {"data_peak": scale.peak, "range_used": scale.used}


def look_at_batches(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure the order of axes, effective batch size, missing resets, and the overlap of validation with training.

    Raises Unanswerable if the batches do not hold frames.
    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    parts_of(subject, batches)
    figures = measured.figures
    measured.frame_size = subject.model.n_in
    jumps = [continuity(batch.frames, rng) for batch in batches]
    figures["jump_along_time"] = float(np.median([jump.along_time for jump in jumps]))
    figures["jump_along_batch"] = float(np.median([jump.along_batch for jump in jumps]))
    figures["effective_batch_size"] = float(np.mean([effective_batch_size(batch.frames) for batch in batches]))
    part = excerpt(batches[0], subject.objective).frames
    figures["distinct_share"] = distinct_size(part) / part.shape[1]
    figures["batch_size"] = float(batches[0].frames.shape[1])
    state = state_figures(subject.batches)
    figures["starts_unmarked"] = state.unmarked
    figures["validation_in_training"] = share_found(subject.validation, subject.pieces)


def loudest_part(subject: Subject, batches: list[Any]) -> Any:
    """Return the loudest (by rms) of the excerpts of all ``batches``, see :func:`excerpt`.

    Raises Unanswerable if the batches do not hold frames.
    """
    return max(parts_of(subject, batches), key=lambda part: rms(part.frames))


def look_at_cost(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure which steps contribute to the cost, the target that the cost implies, and the noise of the output.

    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    part, cost = loudest_part(subject, batches), Cost(subject.model, subject.objective)
    figures = measured.figures
    coverage = cost_coverage(cost, part, rng)
    measured.coverage = np.sqrt(np.mean(np.square(coverage), axis=1))
    shift = measured_target_shift(cost, part, coverage)
    known = STRATEGIES.get(subject.objective.name)
    figures["target_shift"] = NOT_MEASURED if shift is None else float(shift)
    figures["promised_shift"] = float(known.shift) if known else NOT_MEASURED
    target = promised_target(subject, part.frames)
    sounding = np.any(target != 0, axis=2)
    counts = coverage > 1e-6 * coverage.max()
    figures["covered_sounding"] = float(counts[sounding].mean()) if sounding.any() else NOT_MEASURED
    figures["covered_silent"] = float(counts[~sounding].mean()) if not sounding.all() else NOT_MEASURED
    noise = noise_figures(subject.model, part.frames[:N_NOISY_STEPS, :N_NOISY_ITEMS])
    measured.noise_floor = noise.total
    figures["floor_after_weights"] = noise.after_weights


def promised_target(subject: Subject, frames: Frames) -> Frames:
    """Target (time, batch, n) that the objective's name implies for the given frames (time + 1, batch, n).

    If the name is not one of ``rnnaudio.objectives.STRATEGIES``, the target is the next frame.
    """
    known = STRATEGIES.get(subject.objective.name)
    shift = known.shift if known else 1
    return frames[shift : len(frames) - 1 + shift]


def look_at_memory(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure saturated gates, the gradient by lag, the dynamics of the state, and the reach of the output.

    The dynamics (growth, echo and flip) are those of :func:`dynamics_figures`. The reach is the largest magnitude of
    the output for recorded input that is scaled by 1, 10 and 100.
    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    part, stepped = loudest_part(subject, batches), subject.stepped
    x, target = part.frames[:-1], promised_target(subject, part.frames)
    inside = probe(subject.model, x, target)
    measured.saturation = {name: histogram.saturated for name, histogram in inside.saturation.items()}
    measured.gradient_by_lag = g = inside.gradient_through_time
    measured.figures["gradient_growth"] = float(g.max() / g[0]) if g[0] > 0 else NOT_MEASURED
    measured.figures["gradient_kept_per_step"] = kept_per_step(g)
    memory = dynamics_figures(stepped, x, rng)
    measured.growth_with_input, measured.growth_without = memory.growth_with_input, memory.growth_without
    measured.echo, measured.flip = memory.echo, memory.flip
    measured.figures["constant_units"] = memory.constant_units
    measured.figures["late_growth"] = late_growth(memory.growth_with_input)
    measured.figures["late_growth_without_input"] = late_growth(memory.growth_without)
    reach = np.max([np.abs(stepped.outputs(scale * x[:8])).max(axis=(0, 1)) for scale in (1.0, 10.0, 100.0)], axis=0)
    measured.figures["reach"] = float(reach.max())
    measured.figures["reach_spread"] = float(reach.std() / max(reach.mean(), 1e-30))
    measured.figures["target_p999"] = float(np.percentile(np.abs(target), 99.9))


def kept_per_step(gradient_by_lag: Floats, first: int = 2, last: int = 10) -> float:
    """Factor by which the gradient norm g changes per step back in time, (g_last / g_first)^(1 / (last - first)).

    gradient_by_lag: g (steps,), by lag, as in :class:`Measurements`. Lags 0 and 1 are left out by default because a
    parallel linear prediction contributes to them. NaN if there are too few lags, or g_first is 0.
    """
    if len(gradient_by_lag) <= last or not gradient_by_lag[first] > 0:
        return NOT_MEASURED
    return float((gradient_by_lag[last] / gradient_by_lag[first]) ** (1.0 / (last - first)))


def late_growth(sizes: Floats) -> float:
    """Rms of a state at the last step over its rms at the middle step; NaN if there are no steps.

    sizes: (steps,), the rms of the state after each step.
    """
    return float(sizes[-1] / max(sizes[len(sizes) // 2], 1e-30)) if len(sizes) else NOT_MEASURED


def look_at_updates(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure the sizes of updates relative to the parameters, and to the sizes that the update rule implies.

    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    parts = parts_of(subject, batches) if hasattr(batches[0], "frames") else batches
    figures = measured.figures
    seen = update_figures(subject.model, subject.make_step, subject.optimizer, subject.rate_now, parts)
    moved = [name for name, ratio in seen.ratios.items() if seen.gradients[name] > 0 and (ratio or seen.visible[name])]
    measured.step_sizes = {name: (seen.ratios[name], seen.kept_promise[name]) for name in moved}
    moving = [name for name in moved if seen.ratios[name] > 0]
    matrices = [seen.ratios[name] for name in moving if seen.n_axes[name] > 1]
    figures["update_ratio"] = float(np.median(matrices)) if matrices else NOT_MEASURED
    figures["update_ratio_at_peak"] = figures["update_ratio"] * subject.learning_rate / subject.rate_now
    kept = [seen.kept_promise[name] for name in moving]
    figures["kept_promise"] = float(np.median(kept)) if kept else NOT_MEASURED
    figures["loss_after_updates"], figures["reset_leak"] = seen.rise, seen.leak
    figures["without_gradient"] = float(np.mean([norm == 0 for norm in seen.gradients.values()]))
    figures["gradient_norm"] = float(np.median(seen.norms))


def look_at_history(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure the course of training (see :func:`course_figures`), and copy the losses that the run recorded.

    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    figures = measured.figures
    figures |= course_figures(subject.history)
    figures["stopped_early"] = float(subject.stopped_early)
    figures["n_updates"], figures["n_planned"] = float(subject.n_updates), float(subject.n_planned)
    figures["blank_loss"] = NOT_MEASURED if subject.blank_loss is None else subject.blank_loss
    figures["best_loss"] = NOT_MEASURED if subject.best_loss is None else subject.best_loss
    for kind in ("valid", "train"):
        rows = [row[kind] for row in subject.history if kind in row]
        figures[f"history_lowest_{kind}"] = float(min(rows)) if rows else NOT_MEASURED


def look_at_validation(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure the errors of the model and of the baselines on the validation windows.

    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    parts_of(subject, batches)
    figures = measured.figures
    pairs = [(batch.frames[:-1], promised_target(subject, batch.frames)) for batch in subject.validation]
    predict = unrolled(subject.model)
    wrong = np.array([np.sum(np.square(predict(x) - t, dtype=np.float64)) for x, t in pairs])
    energy = np.array([np.sum(np.square(t, dtype=np.float64)) for _, t in pairs])
    measured.loss = float(wrong.sum() / sum(t.size for _, t in pairs))
    figures["validation_loss"] = float(wrong.sum() / energy.sum())
    powers = np.concatenate([np.mean(np.square(t, dtype=np.float64), axis=2).ravel() for _, t in pairs])
    figures["quiet_power"] = float(np.percentile(powers, QUIET_PERCENT))
    measured.errors = {"this model": figures["validation_loss"], **(subject.baselines or _baselines(subject, pairs))}


def _baselines(subject: Subject, pairs: list[Pair]) -> dict[str, float]:
    """Errors of the baselines on the validation windows, for runs that did not record them."""
    training = (subject.batches.batch(k).frames for k in range(N_BASELINE_BATCHES))
    linear = linear_prediction((frames[:-1], promised_target(subject, frames)) for frames in training)
    return baselines(pairs, linear)


def look_at_played_function(
    subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator
) -> None:
    """Compare the first generated frame with outputs of the model's own step function after the same prime.

    These are the outputs of :func:`first_frames`: consuming the last frame of the prime once, and twice.
    Raises Unanswerable if the subject does not generate frame by frame.
    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    if subject.play is None:
        raise Unanswerable("its output is sampled, and equals no prediction")
    stepped, figures = subject.stepped, measured.figures
    primes = loud_primes(subject)
    pairs = [first_frames(stepped, prime) for prime in primes.swapaxes(0, 1)]
    once, twice = (np.array(frames) for frames in zip(*pairs, strict=True))
    firsts = [subject.play(prime, 1) for prime in primes.swapaxes(0, 1)]
    if not all(len(frames) for frames in firsts):  # the first frame was not finite
        return
    first = np.array([frames[0] for frames in firsts])
    figures["fed_noise_power"] = rms(first - once) ** 2
    figures["play_against_unrolled"] = rms(first - once) / max(rms(once), 1e-30)
    figures["two_functions_apart"] = rms(twice - once) / max(rms(once), 1e-30)
    apart = (twice - once).astype(np.float64)
    figures["play_towards_twice"] = float(np.sum((first - once) * apart) / max(np.sum(apart**2), 1e-30))


def look_at_free_run(subject: Subject, batches: list[Any], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure the level of the free run over time, and detect whether its sound becomes a loop or noise.

    Raises Unanswerable if the subject has no function to generate.
    Results are stored in ``measured``; the module's docstring describes the arguments.
    """
    figures = measured.figures
    true, prime, generated = free_run_of(subject)
    figures["n_played"] = float(len(generated))
    if not len(generated) or not np.isfinite(generated[0]).all():
        return
    measured.n_prime_frames = len(prime)
    measured.level_db = levels_db(np.concatenate([prime, generated]))
    if subject.judge is not None:
        measured.life = subject.judge(generated.ravel(), prime.ravel())
        figures |= {"alive_seconds": measured.life.seconds, "alive_confidence": measured.life.confidence}
        figures["of_seconds"] = generated.size / subject.sample_rate_hz
    if len(generated) < 8:
        return
    result = health(generated, measured.life, subject.sample_rate_hz)
    levels = levels_db(true)
    usual = np.median(levels[levels > levels.max() - 60.0])  # leaves out silent frames
    figures["level_fall_db"] = float(usual - np.median(measured.level_db[-len(generated) // 4 :]))
    figures |= {"half_life": result.half_life, "period": float(result.period)}
    figures |= {"repeats_from": result.repeats_from, "noise_from": result.noise_from}
    figures["unrest_db"] = result.unrest_db


def free_run_of(subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return recorded sound, a prime, and the generated continuation of the prime, each as frames (time, n).

    For a run that does not generate in frames, the recorded sound is the prime itself, and frames are 12.5 ms long.
    Raises Unanswerable if the subject has no function to generate.
    """
    if subject.play is not None:
        prime = loud_primes(subject)[:, 0]
        generated = subject.play(prime, int(np.clip(FREE_SAMPLES // prime.shape[1], *FREE_FRAMES)))
        frames = subject.validation[0].frames
        return frames.swapaxes(0, 1).reshape(-1, frames.shape[-1]), prime, generated
    if subject.continued is None or subject.prime is None:
        raise Unanswerable("it was not played")
    n = round(FRAME_SECONDS * subject.sample_rate_hz)
    start = subject.prime()
    generated = subject.continued(start, FREE_SAMPLES)
    prime, played = (audio[: len(audio) // n * n].reshape(-1, n) for audio in (start, generated))
    return prime, prime, played


def loud_primes(subject: Subject) -> np.ndarray:
    """Return primes (time, batch, n): the first 16 frames of the 8 loudest windows of the first validation batch.

    The loudest window comes first. If the windows are shorter or fewer, so are the primes.
    """
    frames = subject.validation[0].frames
    loud = np.argsort(-np.sum(np.square(frames), axis=(0, 2)), kind="stable")[:N_PLAYED]
    primes: np.ndarray = frames[:N_PRIME_FRAMES, loud]
    return primes


def first_frames(stepped: Stepped, prime: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two outputs (n,) of the model ``stepped`` after a prime (time, n), returned as a pair.

    The first is the output for the last frame of the prime. The second is the output of one more step, whose input is
    that last frame again.
    """
    state, y = stepped.start(1), prime[-1:]
    for frame in prime:
        y, state = stepped(frame[None], state)
    again, _ = stepped(prime[-1:], state)
    return y[0], again[0]


EXAMINATIONS: dict[str, Callable[[Subject, list[Any], Measurements, np.random.Generator], None]] = {
    "sound": look_at_sound,
    "batches": look_at_batches,
    "cost": look_at_cost,
    "memory": look_at_memory,
    "updates": look_at_updates,
    "history": look_at_history,
    "validation": look_at_validation,
    "what is played": look_at_played_function,
    "free run": look_at_free_run,
}
