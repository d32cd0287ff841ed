"""One file per verb: arguments in, one flow called, text out."""
