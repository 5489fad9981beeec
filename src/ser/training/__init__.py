"""Training: the one loop of all torch models, and the runner over folds and seeds of all models."""
