"""HTML pages on runs."""

from rnnaudio.report.page import Findings, replace_findings, write_report
from rnnaudio.report.players import Deck

__all__ = ["Deck", "Findings", "replace_findings", "write_report"]
