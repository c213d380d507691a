"""What is watched, and what changed on disk."""
