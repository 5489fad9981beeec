"""Packages: a trained experiment as one folder that predicts anywhere, without the study, DVC or a network.

``weights.safetensors``
    the weights of every fold and seed, whose scores are averaged;
``ser.yaml``
    what a prediction needs besides them: labels, rate, features, model, temperature (`ser.packages.contents`);
``README.md``
    the model card, in the form that Hugging Face reads;
``model.onnx``
    where it was asked for, the networks as one graph for onnxruntime (`ser.packages.graph`).

The package of an ensemble has a folder for each of its experiments, which is a package itself, in place of the weights.

``ser.load(folder)`` gives a `ser.packages.model.Model`, ``ser predict`` calls `ser.packages.predict`, and
``ser demo`` serves the page of `ser.packages.demo`.
"""
