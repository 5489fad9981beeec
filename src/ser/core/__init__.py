"""What every room uses: errors, files, plugins, the cache, packed arrays, and what a model is given."""
