"""What a person should look at in a data file before trusting it: wrong labels, conflicts, leakage, personal data."""
