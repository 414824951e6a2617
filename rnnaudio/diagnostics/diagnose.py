"""Measure everything that trains a model and generates with it, and rank the causes of bad results."""

import numpy as np

from rnnaudio.audio.arrays import Floats, Frames
from rnnaudio.diagnostics.baselines import baselines, linear_prediction
from rnnaudio.diagnostics.causes import causes
from rnnaudio.diagnostics.cost import Cost, cost_coverage, measured_target_shift, noise_figures
from rnnaudio.diagnostics.dynamics import Stepped, dynamics_figures, unrolled
from rnnaudio.diagnostics.excerpt import HasFrames, excerpt, rms
from rnnaudio.diagnostics.free_run import health, levels_db
from rnnaudio.diagnostics.probe import probe
from rnnaudio.diagnostics.signal import (
    continuity,
    distinct_size,
    effective_batch_size,
    scale_figures,
    share_found,
    state_figures,
)
from rnnaudio.diagnostics.subject import Diagnosis, Measurements, Subject
from rnnaudio.diagnostics.updates import update_figures
from rnnaudio.objectives import STRATEGIES

N_BATCHES = 4
N_PLAYED = 8
N_SEED_FRAMES = 16
N_NOISY_STEPS, N_NOISY_ITEMS = 8, 4
FREE_SAMPLES, FREE_FRAMES = 80_000, (64, 400)  # length of the free run; limits of its number of frames
MOST_VALIDATION_SAMPLES = 1 << 21
MOST_BASELINE_SAMPLES = 1 << 19  # of the validation windows, for baselines and the model beside them
N_BASELINE_BATCHES = 8
NOT_MEASURED = float("nan")


def diagnose(subject: Subject) -> Diagnosis:
    """Measure the subject, without changing it, and rank the causes found."""
    measured = Measurements()
    rng = np.random.default_rng(2016)
    batches = [subject.batches.batch(k) for k in range(N_BATCHES)]
    look_at_data(subject, batches, measured, rng)
    parts = [excerpt(batch, subject.objective) for batch in batches]
    loudest = max(parts, key=lambda part: rms(part.frames))
    cost = Cost(subject.model, subject.objective)
    look_at_cost(subject, cost, loudest, measured, rng)
    stepped = Stepped(subject.model)
    look_at_memory(subject, stepped, loudest, measured, rng)
    look_at_updates(subject, parts, measured)
    look_at_validation(subject, measured)
    look_at_free_run(subject, stepped, measured)
    return Diagnosis(causes(measured), measured)


def look_at_data(subject: Subject, batches: list[HasFrames], measured: Measurements, rng: np.random.Generator) -> None:
    """Measure the scale, the order of axes, the effective batch size, and the resets."""
    figures = measured.figures
    measured.frame_size = subject.model.n_in
    scale = scale_figures(subject.pieces)
    figures |= {"data_std": scale.std, "data_dc": scale.dc, "samples_at_ends": scale.at_ends}
    figures |= {"data_peak": scale.peak, "range_used": scale.used}
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


def look_at_cost(
    subject: Subject, cost: Cost, part: HasFrames, measured: Measurements, rng: np.random.Generator
) -> None:
    """Measure the steps that contribute to the cost, its target, and the noise of the output."""
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
    """Target implied by the objective's name: the next frame for unknown names."""
    known = STRATEGIES.get(subject.objective.name)
    shift = known.shift if known else 1
    return frames[shift : len(frames) - 1 + shift]


def look_at_memory(
    subject: Subject, stepped: Stepped, part: HasFrames, measured: Measurements, rng: np.random.Generator
) -> None:
    """Measure gates, gradient by lag, growth, echo, flip and reach."""
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
    """Decay of the gradient per step, (g_10 / g_2)^(1/8), at lags beyond the reach of a parallel linear prediction."""
    if len(gradient_by_lag) <= last or not gradient_by_lag[first] > 0:
        return NOT_MEASURED
    return float((gradient_by_lag[last] / gradient_by_lag[first]) ** (1.0 / (last - first)))


def late_growth(sizes: Floats) -> float:
    """Ratio of the size at the end to that in the middle."""
    return float(sizes[-1] / max(sizes[len(sizes) // 2], 1e-30)) if len(sizes) else NOT_MEASURED


def look_at_updates(subject: Subject, parts: list[HasFrames], measured: Measurements) -> None:
    """Measure the sizes of updates, relative to the parameters and to those expected of the rule."""
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
    figures["gradient_norm"] = float(np.median(seen.norms))


def look_at_validation(subject: Subject, measured: Measurements) -> None:
    """Measure the errors of model and baselines on the validation windows, and compare them with the history."""
    figures = measured.figures
    pairs, n = [], 0
    for batch in subject.validation:
        if n > MOST_VALIDATION_SAMPLES:
            break
        pairs.append((batch.frames[:-1], promised_target(subject, batch.frames)))
        n += batch.frames.size
    predict = unrolled(subject.model)
    wrong = np.array([np.sum(np.square(predict(x) - t, dtype=np.float64)) for x, t in pairs])
    energy = np.array([np.sum(np.square(t, dtype=np.float64)) for _, t in pairs])
    measured.loss = float(wrong.sum() / sum(t.size for _, t in pairs))
    figures["validation_loss"] = float(wrong.sum() / energy.sum())
    training = (subject.batches.batch(k).frames for k in range(N_BASELINE_BATCHES))
    linear = linear_prediction((f[:-1], promised_target(subject, f)) for f in training)
    few = max(1, MOST_BASELINE_SAMPLES // pairs[0][0].size)
    measured.errors = {"this model": float(wrong[:few].sum() / energy[:few].sum()), **baselines(pairs[:few], linear)}
    figures["validation_is_whole"] = float(len(pairs) == len(subject.validation))
    figures["best_loss"] = NOT_MEASURED if subject.best_loss is None else subject.best_loss
    for kind in ("valid", "train"):
        rows = [row[kind] for row in subject.history if kind in row]
        figures[f"history_lowest_{kind}"] = float(min(rows)) if rows else NOT_MEASURED


def look_at_free_run(subject: Subject, stepped: Stepped, measured: Measurements) -> None:
    """Compare the free run with the trained graph, and measure how its sound develops."""
    figures = measured.figures
    figures |= dict.fromkeys(("play_against_unrolled", "two_functions_apart", "play_towards_twice"), NOT_MEASURED)
    later = ("level_fall_db", "half_life", "period", "repeats_from", "noise_from", "unrest_db")
    figures |= dict.fromkeys(later, NOT_MEASURED)
    if subject.play is None:
        return
    frames = subject.validation[0].frames
    loud = np.argsort(-np.sum(np.square(frames), axis=(0, 2)), kind="stable")[:N_PLAYED]
    primes = frames[:N_SEED_FRAMES, loud]
    pairs = [first_frames(stepped, prime) for prime in primes.swapaxes(0, 1)]
    once, twice = (np.array(frames) for frames in zip(*pairs, strict=True))
    firsts = [subject.play(prime, 1) for prime in primes.swapaxes(0, 1)]
    if not all(len(frames) for frames in firsts):  # not finite from the beginning
        return
    first = np.array([frames[0] for frames in firsts])
    figures["play_against_unrolled"] = rms(first - once) / max(rms(once), 1e-30)
    figures["two_functions_apart"] = rms(twice - once) / max(rms(once), 1e-30)
    apart = (twice - once).astype(np.float64)
    figures["play_towards_twice"] = float(np.sum((first - once) * apart) / max(np.sum(apart**2), 1e-30))
    prime = primes[:, 0]
    generated = subject.play(prime, int(np.clip(FREE_SAMPLES // prime.shape[1], *FREE_FRAMES)))
    measured.n_seed_frames = len(prime)
    measured.level_db = levels_db(np.concatenate([prime, generated]))
    if len(generated) < 8:
        return
    result = health(generated)
    levels = levels_db(frames.reshape(-1, frames.shape[-1]))
    usual = np.median(levels[levels > levels.max() - 60.0])  # without its silences
    figures["level_fall_db"] = float(usual - np.median(measured.level_db[-len(generated) // 4 :]))
    figures |= {"half_life": result.half_life, "period": float(result.period)}
    figures |= {"repeats_from": result.repeats_from, "noise_from": result.noise_from}
    figures["unrest_db"] = result.unrest_db


def first_frames(stepped: Stepped, prime: Frames) -> tuple[Frames, Frames]:
    """Outputs of the trained graph after a prime (time, n), and after consuming its last frame twice; (n,) each."""
    state, y = stepped.start(1), prime[-1:]
    for frame in prime:
        y, state = stepped(frame[None], state)
    twice, _ = stepped(prime[-1:], state)
    return y[0], twice[0]
