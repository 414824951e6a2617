"""HTML reports, one page per run."""

from rnnaudio.report.page import extend_report, write_report

__all__ = ["extend_report", "write_report"]
