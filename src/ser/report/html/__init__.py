"""The report of a study as one HTML file that needs nothing else: no network, no script, no file beside it."""
