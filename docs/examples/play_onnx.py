"""Play a network that `rnnaudio export` wrote: python play_onnx.py MODEL.onnx PRIME.wav OUT.wav SECONDS

Needs numpy, onnxruntime and soundfile, and nothing of rnnaudio.
"""

import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

ONE = 1  # stream: the first axis of every array


class Network:
    """A network that keeps its own state between calls."""

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(str(path))
        self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["rnnaudio"])
        self.names = [output.name for output in self.session.get_outputs()]
        self.state = {s["name"]: np.array([s["initial"]], s["dtype"]) for s in self.about["states"]}

    def __call__(self, **inputs):
        outputs = dict(zip(self.names, self.session.run(None, {**inputs, **self.state}), strict=True))
        self.state = {s["name"]: outputs[s["after"]] for s in self.about["states"]}
        return outputs


def frames(network, prime):
    """Recipe frames: each predicted frame is the next input."""
    about, random = network.about, np.random.default_rng(network.about["random"])
    size, std = about["frame_size"], about["output_noise_std"]
    *before, x = prime[len(prime) % size :].astype(np.float32).reshape(-1, ONE, size)
    for frame in before:
        network(frame=frame)
    while True:
        y = network(frame=x)["next_frame"]
        if about["two_functions"]:  # as in 2016: each frame is taken twice, the second new state is dropped
            state = network.state
            y = network(frame=x)["next_frame"]
            network.state = state
        x = y + np.float32(std) * random.standard_normal(size, np.float32) if std else y
        yield x[0]


def samples(network, prime):
    """Recipe samples: a frame of samples at a call; those of the prime are known, all others are sampled."""
    about, random = network.about, np.random.default_rng(network.about["random"])
    size, n_context, shape = about["frame_size"], about["n_context"], (ONE, about["frame_size"], about["n_uniform"])
    levels = quantised(prime, about)
    start = (len(levels) - n_context) % size
    temperature = np.array(about["temperature"])
    network.state["history"] = levels[None, start : start + n_context]
    for known in levels[start + n_context :].reshape(-1, ONE, size):
        network(known=known, uniform=np.zeros(shape), temperature=temperature)
    unknown = np.full((ONE, size), -1)
    while True:
        yield network(known=unknown, uniform=random.random(shape), temperature=temperature)["samples"][0]


def quantised(audio, about):
    v, top = np.clip(audio.astype(np.float64) / about["peak"], -1.0, 1.0), about["n_levels"] - 1
    if about["law"] == "mu":
        v = np.sign(v) * np.log1p(top * np.abs(v)) / np.log1p(top)
    return np.floor((v + 1.0) / 2.0 * top + 0.5).astype(np.int64)


def codes(network, encoder, prime):
    """Recipe codes: yields the codes of each new frame, and the magnitudes of the frame before it."""
    about, random = network.about, np.random.default_rng(network.about["random"])
    n, hop, temperatures = about["window_samples"], about["hop_samples"], np.array(about["temperatures"])
    windows = np.lib.stride_tricks.sliding_window_view(prime[(len(prime) - n) % hop :], n)[::hop]
    heard = encoder(magnitudes=np.abs(np.fft.rfft(windows * hann(n))).astype(np.float32))["codes"]
    for frame in heard[:-1]:
        network(codes=frame[None], uniform=np.zeros((ONE, len(temperatures))), temperatures=temperatures)
    last = heard[-1:]
    while True:
        uniform = random.random((ONE, len(temperatures)))
        result = network(codes=last, uniform=uniform, temperatures=temperatures)
        last = result["next_codes"]
        yield last[0], result["magnitudes"][0]


def hann(n):
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n)


def sound_of(magnitudes, n, hop, n_iterations=60):
    """Griffin and Lim (1984): find phases by going back and forth between the sound and its spectra."""
    window, n_frames = hann(n), len(magnitudes)
    spectra = magnitudes * np.exp(2j * np.pi * np.random.default_rng(0).random(magnitudes.shape))
    for _ in range(n_iterations):
        audio, weight = np.zeros((n_frames - 1) * hop + n), np.zeros((n_frames - 1) * hop + n)
        for k, frame in enumerate(np.fft.irfft(spectra, n) * window):
            audio[k * hop : k * hop + n] += frame
            weight[k * hop : k * hop + n] += window**2
        audio /= np.maximum(weight, 1e-3)
        windows = np.lib.stride_tricks.sliding_window_view(audio, n)[::hop]
        spectra = magnitudes * np.exp(1j * np.angle(np.fft.rfft(windows * window)))
    return audio


def played(path, prime, n_samples):
    """Continue standardised audio (n,) by ``n_samples`` samples."""
    network = Network(path)
    if network.about["recipe"] == "codes":
        encoder = Network(path.with_name(f"{path.stem}-encoder{path.suffix}"))
        n, hop = network.about["window_samples"], network.about["hop_samples"]
        n_frames = max(0, n_samples - n) // hop + 3
        magnitudes = [frame for _, frame in islice(codes(network, encoder, prime), n_frames)]
        return sound_of(np.array(magnitudes[1:]), n, hop)[:n_samples]  # the first is of the prime
    parts, make = [], {"frames": frames, "samples": samples}[network.about["recipe"]]
    for part in make(network, prime):
        parts.append(part)
        if len(part) * len(parts) >= n_samples:
            return np.concatenate(parts)[:n_samples]


def main(model, prime_file, out, seconds):
    about = Network(model).about
    prime, rate = soundfile.read(prime_file)
    if rate != about["sample_rate_hz"]:
        sys.exit(f"{prime_file} has {rate} Hz; expected {about['sample_rate_hz']}")
    prime = (prime - about["mean"]) / about["std"]
    audio = played(Path(model), prime, round(float(seconds) * rate))
    soundfile.write(out, np.concatenate([prime, audio]) * about["std"] + about["mean"], rate)


if __name__ == "__main__":
    main(*sys.argv[1:])
