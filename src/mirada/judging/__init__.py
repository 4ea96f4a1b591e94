"""Judging explanations: tests of maps against images, boxes and a network's own answers, each with a verdict."""
