"""The command ``hyperllama-gateway`` and its sub-commands."""
