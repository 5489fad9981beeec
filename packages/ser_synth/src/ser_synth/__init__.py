"""Look-alikes of speech corpora: synthesized speech in the originals' folders and formats, made offline in seconds.

There is one module per corpus. Each has

``Config``
    frozen dataclass with sizes, the seed (a string) and difficulty; every field has a default;
``TINY``
    values of `Config` that make a complete corpus in about a second, for tests;
``jobs(config)``
    independent picklable jobs, which depend on no acoustic setting;
``run(job, root, config, engine)``
    writes one job's files below `root` with an `espeak.Engine`; jobs may run in any order in any process.

`ser_synth.build` distributes the jobs over processes. A finished folder holds a file named SYNTHETIC that says what it
is.
"""
