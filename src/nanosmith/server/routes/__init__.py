"""Routes behind the API: rules, order, acceptance, and what happens when a model fails."""
