"""Whole models beside PyTorch's: both are the same model, are refused if they are not, and are timed in turns."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from experiments.benchmarks import bench, bench_memory, bench_models, gpu, peers
from experiments.benchmarks.bench_models import check, check_losses, compare, line
from experiments.benchmarks.peers import ModelPeer, figures_of
from rnnaudio import engine
from rnnaudio.errors import RnnaudioError

ON_PYTENSOR = pytest.mark.skipif(engine.NAME == "theano", reason="these are PyTensor's peers; Theano is one itself")


class Scripted:
    """A peer with a loss, whose steps take known times, one for each turn."""

    def __init__(self, name, model, size, setup, device, *, losses):
        self.name, self.loss = name, losses[name]
        self._left = iter({"rnnaudio": [9.0, 1.0, 2.0, 4.0], "torch": [9.0, 3.0, 4.0, 4.0]}[name])
        assert setup.parent.exists() and (model, size, device) == ("codes", "full", "cpu")

    def seconds(self, n_steps):
        return next(self._left)

    def close(self):
        pass


def test_a_model_is_timed_in_turns_once_its_losses_are_equal():
    row = compare("codes", 3, 1.0, make_peer=partial(Scripted, losses={"rnnaudio": 5.0, "torch": 5.0001}))
    assert row["model"] == "codes" and row["torch"] == {"seconds": 4.0, "lowest": 3.0, "highest": 4.0, "ratio": 2.0}
    assert line(row).split()[:4] == ["codes", "2000.0", "4000.0", "x"] and "x 2.00" in line(row)


@pytest.mark.parametrize("loss", [5.1, float("nan")])
def test_another_model_is_not_timed(loss):
    with pytest.raises(RnnaudioError, match="codes: the loss of torch is .*, ours 5; expected the same within 0.0001"):
        compare("codes", 3, 1.0, make_peer=partial(Scripted, losses={"rnnaudio": 5.0, "torch": loss}))


def test_figures_are_medians_over_the_turns():
    rounds = [{"a": 1.0, "b": 5.0}, {"a": 2.0, "b": 4.0}, {"a": 4.0, "b": 4.0}]
    assert figures_of(rounds)["b"] == {"seconds": 4.0, "lowest": 4.0, "highest": 5.0, "ratio": 2.0}


def test_an_unknown_model_is_refused():
    check(tuple(bench_models.NAMES))
    with pytest.raises(RnnaudioError, match="the model is 'codecs'; expected some of codes, draw, draw-attention"):
        check(("codecs",))


def test_a_peer_that_does_not_start_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "command_of", lambda *_: ["true"])
    with pytest.raises(RnnaudioError, match="the peer torch did not start; its errors are printed above"):
        ModelPeer("torch", "codes", "tiny", tmp_path / "setup.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phases": True, "memory": True}, "got --phases and --memory; expected one of them"),
        ({"before": "x.json"}, "--before is a record of --start: give that, too"),
        ({"peers": ("torhc",)}, "the peer is 'torhc'; expected some of torch"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(RnnaudioError, match=message):
        bench.measure_all(**options)


# ---------------------------------------------------------------- the real ones


@ON_PYTENSOR
@pytest.mark.slow
@pytest.mark.parametrize("name", list(bench_models.NAMES))
def test_the_model_in_torch_is_the_same(name):
    """Parameters, loss and, where there is no noise, three updates."""
    pytest.importorskip("torch")
    from experiments.benchmarks.models import MODELS
    from experiments.benchmarks.torch_peers import PEERS

    ours = MODELS[name]("tiny")
    theirs = PEERS[name](ours.setup, "tiny")
    n_theirs = sum(p.numel() for p in theirs.model.parameters() if p.requires_grad)
    assert sum(p.get_value().size for p in ours.model.parameters().values()) == n_theirs
    assert ours.loss() == pytest.approx(theirs.loss(), rel=1e-5)
    if name in ("mnist", "samples-lstm"):
        for _ in range(3):
            assert ours.step() == pytest.approx(theirs.step(), rel=1e-4)
        assert ours.loss() == pytest.approx(theirs.loss(), rel=1e-4)


def test_a_peer_s_process_loads_no_engine_of_ours():
    """Its memory would count ours, too."""
    pytest.importorskip("torch")
    from experiments.benchmarks import torch_samples
    from rnnaudio.readouts import logistic

    program = (
        "import sys, experiments.benchmarks.model_peers, experiments.benchmarks.torch_peers;"
        "print(sorted({'pytensor', 'numba', 'rnnaudio.engine', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and torch_samples.LEAST_SCALE == logistic.LEAST_SCALE


@ON_PYTENSOR
@pytest.mark.slow
def test_a_real_peer_writes_the_setup_and_answers(tmp_path):
    peer = ModelPeer("rnnaudio", "samples-lstm", "tiny", tmp_path / "setup.npz")
    try:
        assert np.isfinite(peer.loss) and 0.0 < peer.seconds(2) < 60.0
        with np.load(tmp_path / "setup.npz") as setup:
            assert "levels" in setup and any(name.startswith("model/") for name in setup)
    finally:
        peer.close()
    check_losses("samples-lstm", [peer])


# ---------------------------------------------------------------- memory


def test_the_peak_is_that_of_the_command_alone():
    """Half a gigabyte that this process or the command holds: the first does not count, the second does."""
    held = np.ones(2**26)
    bare = bench_memory.peak_bytes([sys.executable, "-S", "-c", "pass"], {})
    more = bench_memory.peak_bytes([sys.executable, "-S", "-c", "held = b'1' * 2**28"], {})
    assert held.nbytes == 2**29 and bare < 2**27
    assert more - bare == pytest.approx(2**28, rel=0.1)


def test_a_command_that_fails_has_no_peak(capfd):
    with pytest.raises(RnnaudioError, match="failed; its errors are printed above"):
        bench_memory.peak_bytes([sys.executable, "-S", "-c", "import nothing_like_it"], {})
    assert "nothing_like_it" in capfd.readouterr().err


def test_memory_is_shown_in_megabytes():
    assert bench_memory.as_line({"kind": "codes", "rnnaudio": 200_000_000, "torch": 500_000_000}).split() == [
        "codes", "200", "500", "x", "2.50",
    ]  # fmt: skip


# ---------------------------------------------------------------- GPU


class Done:
    def __init__(self, returncode=0, stdout="", stderr=""):
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


def test_without_a_gpu_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: Done(stdout="cpu\n"))
    with pytest.raises(RnnaudioError, match="JAX finds no GPU, only cpu: run this on a machine with an NVIDIA GPU"):
        gpu.measure_all()


def test_jax_that_does_not_start_is_told(monkeypatch):
    broken = Done(1, stderr="Traceback\nRnnaudioError: no module named jax\n")
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: broken)
    with pytest.raises(RnnaudioError, match=r"JAX does not start \(RnnaudioError: no module named jax\): pip install"):
        gpu.measure_all(smoke=True)


def test_pytorch_must_have_the_gpu_too(monkeypatch):
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RnnaudioError, match=r"PyTorch is not installed: pip install torch==2.13.0, with CUDA"):
        gpu.require_gpu(["NVIDIA H100"])
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: Done(1))
    with pytest.raises(RnnaudioError, match="PyTorch finds no GPU: install it with CUDA"):
        gpu.require_gpu(["NVIDIA H100"])
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: Done(0))
    gpu.require_gpu(["NVIDIA H100"])


def test_every_recipe_is_trained_in_mode_jax(monkeypatch, tmp_path):
    ran = []

    def run(command, *, env, **_):
        ran.append((command[command.index("--recipe") + 1], env["RNNAUDIO_MODE"]))
        return Done(command.count("codes"))

    monkeypatch.setattr(gpu.subprocess, "run", run)
    gpu.train("frames", tmp_path, 3)
    with pytest.raises(RnnaudioError, match="recipe codes does not train in mode jax"):
        gpu.train("codes", tmp_path, 3)
    assert ran == [("frames", "jax"), ("codes", "jax")]


@pytest.mark.slow
def test_the_smoke_form_runs_on_the_processor(capsys):
    pytest.importorskip("jax")
    gpu.measure_all(smoke=True, models=("mnist",))
    out = capsys.readouterr().out
    assert "devices: cpu" in out and all(f"{recipe}: 3 updates, and a report" in out for recipe in gpu.RECIPES)
    assert "an epoch of 784-100-10" in out
