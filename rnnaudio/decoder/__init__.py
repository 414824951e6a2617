"""The child process that decodes audio files, see :class:`rnnaudio.audio.Decoder`.

Decoding runs in a process of its own, because damaged files of a few hundred bytes have hung or crashed decoders, and
a process, unlike a thread, can be killed. This subpackage imports nothing else of the package, to start fast.
"""
