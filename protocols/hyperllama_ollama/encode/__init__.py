"""Answers of the core to Ollama's JSON and lines."""
