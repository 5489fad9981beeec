"""Vectors of words from text and from speech, and a map between them: the semantic stream of P4 (papers.md 7.3).

``config``            the block `words` of params.yaml
``occurrences``       where spoken words occur, by alignment or without one, and words on the grid of the labels
``forced_alignment``  the times of words from a transcript and a speech recogniser (CTC)
``texts``             sentences of corpora, text files and articles
``word2vec``          T, the text space
``mfcc``              spoken words as sequences of coefficients
``speech2vec``        S, the speech space
``alignment``         W: S -> T, adversarial and by Procrustes, with its controls
``vectors``           a vocabulary with its vectors
``diagnostics``       what vectors contain
``spaces``            T, S and W of one corpus: learned, described, saved
``streams``           word vectors of a corpus's recordings on the grid of their labels
``make``              the stage, which does all of this
"""
