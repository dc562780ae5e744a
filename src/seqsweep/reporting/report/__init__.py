"""The report of a study: gathered from the stores once, shown on a terminal and as a page."""

from seqsweep.reporting.report.gathering import StudyReport, gather
from seqsweep.reporting.report.terminal import document, print_report

__all__ = ["StudyReport", "document", "gather", "print_report"]
