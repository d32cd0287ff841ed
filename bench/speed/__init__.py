"""How fast our bundles answer, beside what people use for such a task: `python -m bench.speed --help`."""
