"""Models: one module per system, each with a frozen `Config` (defaults: the paper's values) and a class `Model`.

A torch model is ``Model(config, task)``, an `nn.Module` with ``forward(batch) -> output`` (``output.logits``: (B, K),
or ``output.values``: (B, R, D) for continuous labels) and ``loss(output, batch)``, a scalar or named scalars that add
up to the loss. `ser.training.loop` trains it, and so do the contract tests, with the sizes in `TINY`. A model may also
have ``prepare``, ``at_step``, ``parameter_groups``, ``load_pretrained``, ``notes`` and ``artefacts``, and its module
``READS``, ``TASK``, ``LEVEL``, ``FIXED_LENGTH``, ``check`` and ``word_inputs``; CONTRIBUTING.md explains them.

A model in the style of scikit-learn is ``Model(config, task, seed)`` with a seed of 32 bits, ``fit(train, dev) ->
history``, ``scores(inputs)``, and ``weights()`` and ``load_weights(weights)`` for the named arrays that `scores` needs.
Both kinds take the sizes of inputs and outputs from the task.

A model is complete in its file. Layers that two models share are in `layers`, faster equivalents of a plain layer in
`kernels`.
"""
