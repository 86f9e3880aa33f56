"""The rooms of the sample-data generator: words, phrases, clauses, scenes and the three corpora."""
