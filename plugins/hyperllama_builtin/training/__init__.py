"""Everything that made the built-in weights: the text, the tokenizers, the networks and the loop."""
