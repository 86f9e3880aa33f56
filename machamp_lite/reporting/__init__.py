"""The report of one or several runs, as one HTML file."""

# Sentences with errors per task of a dataset in a report; there are a quarter as many without errors.
MAX_SENTENCES = 100
