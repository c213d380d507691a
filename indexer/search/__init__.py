"""Filters, and what one search sees."""
