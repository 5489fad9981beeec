"""Training: the one loop all torch models use, and the runner over folds and seeds all models use."""
