"""One safe way to open a picture, for all packages."""
