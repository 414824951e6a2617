"""Check of the checksums in Ogg files, and recognition of formats without checksums."""

from rnnaudio.decoder import flac, ogg
from rnnaudio.decoder.mixing import Unusable

# Beginnings of files, and names of their formats. Any other format is named by the extension of the file name.
NAMES = {b"RIFF": "wav", b"RF64": "wav", b"FORM": "aiff", b"caff": "caf", b".snd": "au", b"ID3": "mp3"}
CHECKED = (ogg.CAPTURE, flac.MARKER, b"wvpk", b"TTA1")


def require_intact(path: str) -> None:
    """Check each page of an Ogg file; Unusable if its checksum does not match, or if other bytes lie between pages.

    Files of other formats are not examined: their checksums, if any, are compared during decoding. OSError if the file
    cannot be read.
    """
    with open(path, "rb") as file:
        if file.read(len(ogg.CAPTURE)) != ogg.CAPTURE:
            return
        with ogg.mapped(file) as content:
            fault = ogg.damage(content)
    if fault:
        raise Unusable(f"damaged: {fault}; copy or download it again")


def format_without(path: str) -> str:
    """Return the name of a file's format, such as "wav", if the file has no checksums of its samples; else "".

    OSError if the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(4)
        if head.startswith(flac.MARKER):
            return "" if flac.stated_by(file) else "flac from a pipe"
    if head.startswith(CHECKED):
        return ""
    known = (name for beginning, name in NAMES.items() if head.startswith(beginning))
    return next(known, "mp3" if head[:1] == b"\xff" else path.rpartition(".")[2].lower()[:8])
