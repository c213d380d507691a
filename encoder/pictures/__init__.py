"""One guarded way to open a picture, for everyone."""
