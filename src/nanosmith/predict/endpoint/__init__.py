"""Models that answer elsewhere: whose they are, what they cost, how they are asked, and what can go wrong."""
