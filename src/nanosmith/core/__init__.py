"""The nouns: values without I/O, importable in milliseconds (msgspec is the only dependency)."""
