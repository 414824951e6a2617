"""The child process that decodes audio files, see :class:`rnnaudio.audio.Decoder`.

Decoding runs in a process of its own because damaged files of a few hundred bytes have hung or crashed decoders, and
only a process can be killed. It imports nothing else of the package, so that it starts fast.
"""
