"""Filters, and the state of the library that a search sees."""
