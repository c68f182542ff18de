"""Devices and workers: who trains together, and how they agree."""
