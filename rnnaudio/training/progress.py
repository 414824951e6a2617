"""The progress bar of training, by updates or by time, whichever limit is nearer."""

from rnnaudio.progress import Bar, bar
from rnnaudio.training.run import Limits, Run


def duration(seconds: float) -> str:
    """Format a duration given in seconds: ``45 s`` below two minutes, otherwise in minutes, ``12.3 min``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def progress_bar(run: Run, limits: Limits, *, is_hidden: bool = False) -> Bar:
    """Make the progress bar of a run; if ``is_hidden``, the bar shows nothing."""
    layout = "{percentage:3.0f}%|{bar:24}| {elapsed}<{remaining} {desc}"
    return bar(total=1.0, initial=_share_done(run, limits), bar_format=layout, leave=True, disable=is_hidden)


def advance(shown: Bar, run: Run, limits: Limits) -> None:
    """Set the bar to the share of the nearer limit that the run has reached, and show its updates per second."""
    speed = run.n_updates / run.seconds if run.seconds else 0.0
    shown.set_description_str(f"update {run.n_updates}, {speed:.1f}/s", refresh=False)
    shown.update(_share_done(run, limits) - shown.n)


def _share_done(run: Run, limits: Limits) -> float:
    if limits.max_updates <= 0 or limits.max_seconds <= 0.0:  # reached before the first update
        return 1.0
    return min(max(run.n_updates / limits.max_updates, run.seconds / limits.max_seconds), 1.0)
