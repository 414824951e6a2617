"""HTML pages about runs."""

from rnnaudio.report.page import Findings, replace_findings, write_report
from rnnaudio.report.players import Deck, Pressed, pressed

__all__ = ["Deck", "Findings", "Pressed", "pressed", "replace_findings", "write_report"]
