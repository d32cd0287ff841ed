"""What all resources share of HTTP: bodies, errors, pages, repeated requests."""
