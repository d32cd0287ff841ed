"""Webhooks: who is told of which events, and how they get there."""
