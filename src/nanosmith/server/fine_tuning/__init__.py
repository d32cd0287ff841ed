"""Fine-tuning jobs, permissions of checkpoints, graders."""
