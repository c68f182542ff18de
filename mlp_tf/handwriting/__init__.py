"""Handwriting: turns a photo or drawing of a digit into an example."""
