"""Progress of long work, with the time left: a bar on a terminal, elsewhere a line a minute."""

import sys
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 60.0
LINE = "{desc}: {percentage:.0f} % done, {elapsed} elapsed, {remaining} left"


class Progress(tqdm):
    """A progress bar of tqdm on standard error; where that is not a terminal, a line of text every minute instead.

    Options are those of ``tqdm``, with other defaults: the bar vanishes when it is closed.
    """

    disable: bool

    def __init__(self, *values: Any, **options: Any) -> None:
        self._in_lines = not sys.stderr.isatty()
        if self._in_lines:
            rare = {"mininterval": LINE_SECONDS, "maxinterval": LINE_SECONDS, "delay": LINE_SECONDS}
            options |= rare | {"bar_format": LINE}
        super().__init__(*values, **{"leave": False} | options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Write the state: as a bar, or as a line of its own."""
        if not self._in_lines:
            return bool(super().display(msg, pos))
        print(str(self), file=self.fp, flush=True)
        return True

    def close(self) -> None:
        """End the bar; a line that was written stays."""
        if self._in_lines and not self.disable:
            self.disable = True
            self._decr_instances(self)
        else:
            super().close()
