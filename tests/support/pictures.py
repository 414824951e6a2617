"""Pictures of one pixel, for tests of what also leaves pictures."""

import base64

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


def draw_pixels_if_fast(request, patch):
    """Let every figure be saved as one pixel while ``patch``, a MonkeyPatch, lasts; not in the full tier."""
    if "not slow" in request.config.getoption("markexpr"):
        patch.setattr("rnnaudio.plots.canvas.as_png", lambda figure: PIXEL)
