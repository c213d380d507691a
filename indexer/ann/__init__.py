"""FAISS: lay an index out, build it, tune it, publish it."""
