"""Readers: one module for each shape of source, each of which hands a `Builder` what it finds."""
