"""Fine-tuning jobs: created, checked, run in their own process, stopped, and started again after a crash."""
