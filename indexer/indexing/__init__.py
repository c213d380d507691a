"""A run: read files, plan their rows, embed, commit."""
