"""What a recording sounds and looks like before and after, for people."""

from voxhop.report.analysis import Analysis, Curves, analyse
from voxhop.report.findings import Finding, findings
from voxhop.report.page import report_page

__all__ = ["Analysis", "Curves", "Finding", "analyse", "findings", "report_page"]
