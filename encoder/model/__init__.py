"""ALIGN: a picture tower, a text tower, and their configuration."""
