"""The report of a study: one table of scores, the ledger of published numbers, figures, one HTML page."""
