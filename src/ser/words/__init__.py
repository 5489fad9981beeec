"""Meaning of words for the semantic stream of P4 (papers.md 7.3): text, speech, and a map from one to the other.

``words``       where the words of an utterance lie, by alignment or without; words on the grid of the labels
``forced``      CTC forced alignment of a transcript
``texts``       sentences of corpora and text files
``word2vec``    T, the text space
``mfcc``        word segments as sequences of coefficients
``speech2vec``  S, the speech space: training, type vectors, token encoder
``csls``        nearest neighbours in blocks
``alignment``   W: S -> T, adversarial and by Procrustes, with its controls
``diagnostics`` what the spaces hold
``figures``     the spaces drawn
``run``         all of it on one corpus
``streams``     word vectors of a target corpus on the grid of its labels
``make``        the stage: both
"""
