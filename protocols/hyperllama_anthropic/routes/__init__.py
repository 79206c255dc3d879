"""The handlers that connect the dialect to the gateway."""
