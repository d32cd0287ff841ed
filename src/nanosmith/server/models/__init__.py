"""Models: their names, which of them are open, and what they read of a request."""
