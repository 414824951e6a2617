"""Decode one file for each line of standard input, and write the samples to standard output.

A request is a line of JSON, {"path": text, "sample_rate_hz": int or null}; null stands for the rate of the file. With
"part": [start, stop] in seconds, only this part is read if the format allows seeking. The reply is a line of JSON,
{"error": text} or {"sample_rate_hz": int, "n_samples": int, "notes": [text, ...], "truncated": text, "is_part": bool};
the latter is followed by n_samples float32 samples, in native byte order. ``truncated`` is empty for a complete file.

A request {"path": text, "only_length": true} is answered by {"seconds": number or null} or {"error": text}.
"""

import json
import signal
import sys
from typing import TypeAlias

from rnnaudio.decoder.decode import Decoded, Unusable, decode, stated_seconds

Message: TypeAlias = dict[str, str | int | float | list[str] | None]  # a request, or the header of a reply


def reply(
    path: str, sample_rate_hz: int | None = None, *, part: list[float] | None = None, only_length: bool = False
) -> tuple[Message, Decoded | None]:
    """Answer a request; returns (header of the reply, decoded audio), or (header with the error or the length, None).

    Arguments are the entries of the request. Every exception becomes a header {"error": text}, because the libraries
    raise exceptions of many types.
    """
    try:
        if only_length:
            return {"seconds": stated_seconds(path)}, None
        decoded = decode(path, sample_rate_hz, (part[0], part[1]) if part else None)
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
        "is_part": decoded.is_part,
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
