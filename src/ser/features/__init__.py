"""Features: one module per feature, each with a frozen dataclass `Feature`, whose fields are its parameters. It also
has

``level``   ``"frame"`` (an array (T, dim) per utterance) or ``"utterance"`` (an array (dim,));
``rate``    the sampling rate in Hz that it needs;
``dim``     number of columns;
``frame_rate``  rows per second for frame features, None for utterance features;
``extract(signal, rate) -> float32 array`` of shape (T, dim) or (dim,), from mono float32 in [-1, 1].
``about()`` (only where it depends on more than its parameters) gives plain values that are recorded with the feature.

Dimension letters: N samples, T frames, F columns.
"""
