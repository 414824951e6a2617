"""Progress displays for long work, with the time left: a bar on a terminal, elsewhere one line a minute."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from tqdm import tqdm

LINE_SECONDS = 60.0


class Bar(Protocol):
    """Interface of the progress displays that :func:`bar` makes; n: amount of work done so far."""

    n: float

    def __enter__(self) -> "Bar": ...
    def __exit__(self, *exception: object) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def update(self, n: float = 1) -> object: ...
    def set_description_str(self, desc: str, refresh: bool = True) -> None: ...
    def close(self) -> None: ...


def bar(values: Iterable[Any] | None = None, desc: str = "", *, disable: bool = False, **options: Any) -> Bar:
    """Make a progress display on standard error: a bar on a terminal, elsewhere one line every minute.

    values: an iterable; the display then iterates over it, and counts each value as 1; None: the caller counts with
    ``update``. desc: text before the progress. disable: True to show nothing. Other options are those of ``tqdm``;
    without a terminal only ``total`` and ``initial`` are used. Unless ``leave`` is set, the bar vanishes at the end.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        shown: Bar = tqdm(values, desc, disable=disable, **{"leave": False} | options)
        return shown
    return Lines(values, desc, disable=disable, total=options.get("total"), initial=options.get("initial", 0))


class Lines:
    """Progress display that prints a line a minute, for output to files; the arguments are those of :func:`bar`."""

    def __init__(
        self,
        values: Iterable[Any] | None = None,
        desc: str = "",
        *,
        disable: bool = False,
        total: float | None = None,
        initial: float = 0,
    ) -> None:
        self._values, self._desc, self._disable = values, desc, disable
        self._total = len(values) if total is None and hasattr(values, "__len__") else total  # type: ignore[arg-type]
        self.n, self._initial = initial, initial
        self._started = self._written = time.monotonic()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        for value in self._values or ():
            yield value
            self.update()

    def set_description_str(self, desc: str, refresh: bool = True) -> None:
        """Set the text before the progress; ``refresh`` has no effect."""
        self._desc = desc

    def update(self, n: float = 1) -> None:
        """Add ``n`` to the work done, and print a line if the last one is a minute old, ignoring failures."""
        self.n += n
        now = time.monotonic()
        if self._disable or now - self._written < LINE_SECONDS:
            return
        self._written = now
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a full disk, a stream that is closed or gone
            print(self._line(now - self._started), file=sys.stderr, flush=True)

    def _line(self, elapsed: float) -> str:
        parts = [f"{tqdm.format_interval(elapsed)} elapsed"]
        if self._total:
            left = elapsed * (self._total - self.n) / max(self.n - self._initial, 1e-12)
            parts = [f"{100 * self.n / self._total:.0f} % done", *parts, f"{tqdm.format_interval(left)} left"]
        return f"{self._desc}: " * bool(self._desc) + ", ".join(parts)

    def close(self) -> None:
        """Do nothing; defined because ``tqdm`` defines it."""
