"""What is read out of a model's text, whatever the engine: chunks in, chunks out."""
