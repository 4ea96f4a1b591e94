"""Any ``torch.nn.Module`` as a table: one row per layer with its shape, parameters and multiply-adds."""

from mirada.summary.ledger import summarize
from mirada.summary.table import Summary

__all__ = ["Summary", "summarize"]
