"""Executors map a pipeline over its seeds; this version has the one for this machine."""
