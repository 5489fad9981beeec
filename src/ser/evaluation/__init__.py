"""Evaluation: everything computed from prediction files alone; nothing here imports torch."""
