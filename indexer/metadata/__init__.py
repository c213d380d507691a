"""Sidecars, Takeout, tables, text files and fields."""
