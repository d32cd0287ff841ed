"""How a decoder writes: its chat template, vocabulary, graph, cache of prefixes, drawing of tokens, and stop texts."""
