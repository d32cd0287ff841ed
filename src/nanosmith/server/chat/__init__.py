"""Chat completions: answered, streamed, stored, exported."""
