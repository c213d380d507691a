"""Which folders are watched, and what changed in them on disk."""
