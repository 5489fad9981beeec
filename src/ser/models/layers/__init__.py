"""Layers that two models share; what only one model uses is in that model's file."""
