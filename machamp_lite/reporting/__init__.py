"""The report of one or several runs, as one HTML file."""

# Sentences per task of a dataset in a report, those with errors first; at most a quarter of them have none.
MAX_SENTENCES = 100
