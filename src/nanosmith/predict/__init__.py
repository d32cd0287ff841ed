"""Everything that answers, without torch."""
