"""Read a file, plan its rows, embed, commit."""
