"""The settings of a study: the schema of params.yaml, its checks, and the commands that make and start studies."""
