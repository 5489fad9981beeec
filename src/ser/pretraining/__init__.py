"""Pretraining of the Mockingjay encoder on any corpus with a manifest (P1 section 3.3; papers.md 4.3).

`ser.pretraining.run.pretrain` is the entry point. Features are computed on the fly from FLAC or WAV in loader workers,
so a long corpus needs no disk space besides its audio. `cache` packs them once, for a short corpus or for a machine
without audio libraries. The cost of the subsets of LibriSpeech with the default feature (160 float32 columns, 100
frames per second):

=======  ===========  ==================  ====================
subset   audio, disk  cache, if any       memory of the loader
=======  ===========  ==================  ====================
100 h    6 GB         23 GB               index, 2 batches per worker
360 h    23 GB        84 GB               the same
960 h    60 GB        223 GB              the same
=======  ===========  ==================  ====================

500 000 steps of 3 utterances (most exceed 400 frames, which halves the batch of 6) see about 5 000 h of speech and cost
3e17 floating-point operations, whatever the subset: about 3 h at 30 TFLOP/s, months on two CPU cores.
"""
