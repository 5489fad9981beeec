"""Models: one module a system, each with a frozen `Config` (defaults: the paper's values) and a class `Model`.

A torch model is ``Model(config, task)``, an `nn.Module` with ``forward(batch) -> output`` (``output.logits``: (B, K),
or ``output.values``: (B, R, D) for continuous labels) and ``loss(output, batch)``, a scalar or named scalars that add
up to it; `ser.training.loop` trains it, and the contract tests do with the sizes in `TINY`. A module with
``FIXED_LENGTH = True`` cannot be trained without `training.frames`. What a model may have besides, ``prepare``,
``at_step``, ``parameter_groups``, ``notes``, ``artefacts`` and the module's ``draw``, stands in CONTRIBUTING.md.

A classical one is ``Model(config, task, seed)`` with ``fit(train, dev) -> history`` and ``scores(inputs)``. Both get
head and input sizes from the task. Parts that several models, or the layers of one, are built from lie in `parts`.
"""
