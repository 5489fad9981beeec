"""Features: one module a feature, each with a frozen dataclass `Feature` of its parameters and

``level``   ``"frame"`` (an array (T, dim) an utterance) or ``"utterance"`` (an array (dim,));
``rate``    the sampling rate in Hz it needs its input in;
``dim``     number of columns;
``frame_rate``  rows a second for frame features, None for utterance features;
``extract(signal, rate) -> float32 array`` of shape (T, dim) or (dim,), from mono float32 in [-1, 1].

Dimension letters: N samples, T frames, F columns.
"""
