"""Parsers of a model's text, for every engine: chunks in, chunks out."""
