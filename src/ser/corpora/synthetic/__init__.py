"""Look-alikes of the corpora: synthesized speech in the originals' exact on-disk layouts, made offline in seconds.

One module a corpus, each with a frozen `Config` (sizes, seed, difficulty), ``jobs(config)`` (independent picklable jobs) and
``run(job, root, config)`` (writes one job's files below `root`). `ser.corpora.synthetic._build` runs them over processes.
A folder made here holds a file named SYNTHETIC; the mark follows the data into every report.
"""

MARKER = "SYNTHETIC"
