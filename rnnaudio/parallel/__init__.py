"""Several processes that train one run: ranks, their shares of a batch, and what they agree on."""

from rnnaudio.parallel.ranks import ALONE, Alone, Meeting, Ranks, Share, share_of_cores

__all__ = ["ALONE", "Alone", "Meeting", "Ranks", "Share", "share_of_cores"]
