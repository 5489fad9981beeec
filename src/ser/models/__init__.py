"""Models: one file per system, each with a frozen `Config` (defaults: the values of the paper) and a class `Model`.

A torch model is ``Model(config, task)``, an `nn.Module` with two methods. ``forward(batch)`` returns an output with
``logits`` (B, K) or, for continuous labels, with ``values`` (B, R, D). ``loss(output, batch)`` returns a scalar, or
named scalars that add up to the loss. `ser.training` trains it; the contract tests do so with the sizes in `TINY`.

A classical model is ``Model(config, task, seed)`` with ``fit(train, dev) -> history`` and ``scores(inputs)``.

Sizes of the input and of the output come from the task. CONTRIBUTING.md lists what a model or its module may have
besides (`READS`, `check`, ``prepare``, ``load_pretrained``, ...). A file holds its whole network; only what two models
share is in `layers`, and faster equivalents of plain layers are in `kernels`.
"""
