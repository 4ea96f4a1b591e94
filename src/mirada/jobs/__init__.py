"""Whole jobs: train, cross-validate."""
