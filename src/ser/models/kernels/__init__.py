"""Faster equivalents of plain layers, each at least 1.3 times as fast and tested against the plain form."""
