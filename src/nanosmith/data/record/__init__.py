"""Records: which fields the answers have, and where their values stand in the texts."""
