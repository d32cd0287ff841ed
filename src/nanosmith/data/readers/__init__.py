"""One file per format; each has `read(path) -> Reading` and is registered in `core/registry.py`."""
