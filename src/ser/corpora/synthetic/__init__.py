"""Look-alikes of the corpora: synthesized speech in the originals' exact on-disk layouts, made offline in seconds.

One module a corpus, each with

``Config``
    frozen dataclass: sizes, the seed (a string), difficulty; every field has a default;
``TINY``
    values of `Config` that make a complete corpus in about a second, for tests;
``jobs(config)``
    independent picklable jobs, which depend on no acoustic parameter;
``run(job, root, config, engine)``
    writes one job's files below `root` with an `_espeak.Engine`; may run in any order in any process.

`ser.corpora.synthetic._build` runs them over processes. A folder made here holds a file named SYNTHETIC; the mark
follows the data into every report.
"""
