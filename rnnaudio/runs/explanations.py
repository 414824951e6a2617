"""Explanations of a run's figures and pictures, for readers who have never trained a network."""

LOSSES = "Normalised mean squared error on the validation windows"

HOW_IT_IS_JUDGED = (
    "How long the result sounds like music is measured, and nobody listened: for how long its loudness, its noisiness "
    "and the change in its spectrum stay within what real music does. Listen to it yourself."
)

EXPLANATIONS = {
    "prime and generated": (
        "First the true music that the model continues, then what it generates by itself. Where its spectrogram turns "
        "into level lines the model holds a tone, where it turns dark it has fallen silent."
    ),
    "prime and original": "The same beginning, then how the recording really goes on.",
    "codec alone": "The recording through the codec: the best that any model over these codes can sound.",
    "Learning curve": (
        "The error on the music that is trained on and on music kept aside, lower is better; the ring marks the model "
        "that plays."
    ),
    "Update ratios": (
        "How far one update moved the weights, relative to their size. About a thousandth is usual: far above it "
        "training is unstable, far below it nothing moves."
    ),
    "Settings": "What the run was started with.",
}

# Appended to the explanation of the learning curve, if it has lines of baselines.
OF_BASELINES = "Grey lines are simple predictors that a network has to beat."

OF_FRAMES = {
    "Saturation": (
        "How often each gate or unit of the network takes each value. One that is piled up at the ends is stuck open "
        "or shut there, and learns little more."
    ),
    "Gradient norms": (
        "Bars: how strongly the last batch pulled at each group of weights. Curve: how much a frame that far back "
        "still matters for the error now; where the line is a thousand times lower, little is learnt from it."
    ),
    LOSSES: (
        "How much of the sound's energy is predicted wrongly: 0 dB is all of it, as in predicting silence, and 10 dB "
        "less is a tenth. Persistence repeats the last frame; linear prediction is the best weighted sum of the last "
        "frames."
    ),
    "Diagnostics": (
        "Saturated: the share of values within 5 % of their limits, or of relu units that are never active, gate by "
        "gate, on validation music; rnnaudio diagnose measures the loudest of some training sequences instead, and "
        "its 'all gate values' are the mean over the gates. "
        "|update| / |parameter|: how far the last update moved the weights. |d loss_T / d x|: how much a frame so "
        "many steps back matters for the error now."
    ),
}

OF_A_DIAGNOSIS = {
    "Diagnosis": (
        "The causes in words, then what was measured of the model, of its training and of what it plays by itself."
    ),
}
