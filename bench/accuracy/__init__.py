"""Accuracy of Nanosmith and of its peers on public sets, in one run: `python -m bench.accuracy --help`."""
