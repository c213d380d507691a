"""library.db: schema, reads (`catalogue`), writes (`journal`), embeddings, connection, lock."""
