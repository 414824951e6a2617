"""HTML reports, one page per run."""

from rnnaudio.report.page import Link, extend_report, write_report

__all__ = ["Link", "extend_report", "write_report"]
