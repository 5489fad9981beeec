"""Parts that models are built from. A stage that trains depends on the whole folder; finished folds are filed under the
files a model really imports, so an edit of another model's part repeats no training."""
