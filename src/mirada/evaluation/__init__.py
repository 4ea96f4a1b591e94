"""Predictions with their file names, the metrics over them, and how sure those are."""
