"""Training of one run by several processes: ranks, their shares of a batch, and the values they exchange."""

from rnnaudio.parallel.ranks import ALONE, Alone, Meeting, Ranks, Share, share_of_cores

__all__ = ["ALONE", "Alone", "Meeting", "Ranks", "Share", "share_of_cores"]
