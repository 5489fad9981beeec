"""Models: one module a system, each with a frozen `Config` (defaults: the paper's values) and a class `Model`.

A torch model is ``Model(config, task)``, an `nn.Module` with ``forward(batch) -> output`` (``output.logits``: (B, K))
and
``loss(output, batch) -> scalar``; `ser.training.loop` trains it, and the contract tests do with the sizes in `TINY`.
A classical one is ``Model(config, task, seed)`` with
``fit(train, dev) -> history`` and ``scores(inputs)``. Both get head and input sizes from the task.
A module with ``FIXED_LENGTH = True`` cannot be trained without `training.frames`.
"""
