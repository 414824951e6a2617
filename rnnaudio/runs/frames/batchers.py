"""Registry, by name, of the batchers of :mod:`rnnaudio.data`, which choose the windows of frames for each batch."""

from typing import Any

from rnnaudio.registry import Registry

BATCHERS: Registry[Any] = Registry("batcher")
BATCHERS.add("random", "rnnaudio.data:RandomWindows")
BATCHERS.add("shifted", "rnnaudio.data:ShiftedWindows")
BATCHERS.add("offsets", "rnnaudio.data:FrameOffsets")
BATCHERS.add("consecutive", "rnnaudio.data:ConsecutiveWindows")
