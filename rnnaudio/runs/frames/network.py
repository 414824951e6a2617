"""The network of a run over frames, for export: from a frame and the state to the next frame and the new state."""

from rnnaudio.errors import RnnaudioError
from rnnaudio.export import Network, layer_network
from rnnaudio.nn import Layer
from rnnaudio.runs.frames.config import FramesConfig


def frames_network(model: Layer, config: FramesConfig, output_noise_std: float) -> Network:
    """Make the network of one step: ``frame`` (streams, frame_size) and state -> ``next_frame`` and new state.

    Frames are standardised samples. output_noise_std: standard deviation of the noise that a program adds to each
    generated sample; 0: none. RnnaudioError for a run that generates with the noise of training, or a model that
    cannot be exported.
    """
    if config.noise_in_evaluation:
        raise RnnaudioError(
            "this run generates with the noise and dropout of training (noise_in_evaluation), which an ONNX file "
            "cannot repeat: train one without"
        )
    network = layer_network(model, "frame", "next_frame")
    network.about = {
        "frame_size": config.frame_size,
        "two_functions": config.generation == "two_functions_2016",
        "output_noise_std": output_noise_std,
        "random": [config.seed, 0, 3],
    }
    return network
