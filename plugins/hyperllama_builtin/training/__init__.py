"""The making of the built-in weights: text, tokenizers, networks and training loop."""
