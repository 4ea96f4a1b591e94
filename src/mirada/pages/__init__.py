"""Turns a finished run folder into one self-contained HTML page."""

from mirada.pages.report import write_report

__all__ = ["write_report"]
