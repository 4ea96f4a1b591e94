"""Turns a finished run folder into one self-contained HTML page."""

from mirada.pages.page import write_report

__all__ = ["write_report"]
