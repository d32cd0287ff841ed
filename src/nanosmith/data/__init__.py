"""Files in, checked Datasets out: readers, checks, splits and task recognition."""
