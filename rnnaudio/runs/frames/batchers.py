"""Batchers of :mod:`rnnaudio.data` by name: the ways to choose windows of frames for a batch."""

from typing import Any

from rnnaudio.registry import Registry

BATCHERS: Registry[Any] = Registry("batcher")
BATCHERS.add("random", "rnnaudio.data:RandomWindows")
BATCHERS.add("shifted", "rnnaudio.data:ShiftedWindows")
BATCHERS.add("offsets", "rnnaudio.data:FrameOffsets")
BATCHERS.add("consecutive", "rnnaudio.data:ConsecutiveWindows")
