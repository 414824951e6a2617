"""Decode one file for each line of standard input.

A request is a line of JSON, {"path": ..., "sample_rate_hz": int or null}. The reply is a line of JSON, {"error": text}
or {"sample_rate_hz": int, "n_samples": int, "notes": [text, ...], "truncated": text}, followed by the float32 samples.
"""

import json
import signal
import sys
from typing import TypeAlias

from rnnaudio.decoder.decode import Decoded, Unusable, decode

Message: TypeAlias = dict[str, str | int | list[str] | None]  # a request, or the header of a reply


def reply(path: str, sample_rate_hz: int | None) -> tuple[Message, Decoded | None]:
    """Decode a file; every error becomes a message, as the libraries raise errors of many types."""
    try:
        decoded = decode(path, sample_rate_hz)
    except Unusable as error:
        return {"error": str(error)}, None
    except Exception as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        reason = " ".join(reason.split())
        return {"error": f"not readable as audio ({reason}); expected an undamaged recording"}, None
    header: Message = {
        "sample_rate_hz": decoded.sample_rate_hz,
        "n_samples": sum(block.size for block in decoded.blocks),
        "notes": decoded.notes,
        "truncated": decoded.truncated,
    }
    return header, decoded


def main() -> None:
    """Serve requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    for line in sys.stdin.buffer:
        header, decoded = reply(**json.loads(line))
        sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
        for block in decoded.blocks if decoded else []:
            sys.stdout.buffer.write(block.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
