"""One file per story: settings and files in, a sealed bundle or a report out."""
