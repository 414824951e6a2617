"""HTML pages on runs."""

from rnnaudio.report.page import Findings, replace_findings, write_report
from rnnaudio.report.players import Clip, Deck

__all__ = ["Clip", "Deck", "Findings", "replace_findings", "write_report"]
