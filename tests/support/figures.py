"""What a Matplotlib figure holds."""

from matplotlib.text import Text


def line(axes, label):
    return next(one for one in axes.lines if one.get_label().startswith(label))


def texts_overlap(texts):
    """Whether any two overlap; for a figure that has been laid out."""
    boxes = [Text.get_window_extent(text) for text in texts]  # of the words, not of an annotation's line too
    return any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
