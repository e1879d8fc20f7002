"""The report of a study: one HTML page and the figures as files."""

from __future__ import annotations

from lowroad.report.page import write_report

__all__ = ["write_report"]
