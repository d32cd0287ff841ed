"""How good answers are, one module per kind of task; each has `figures` (fields of a Report) and `remarks` (notes)."""
