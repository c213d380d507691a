"""FAISS: the layout, the building, the tuning and the publishing of an index."""
