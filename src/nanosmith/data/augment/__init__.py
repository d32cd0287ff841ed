"""Training examples made from training examples: joined queries, misspellings."""
