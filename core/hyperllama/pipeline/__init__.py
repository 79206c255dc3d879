"""The walk of a request from gate to last token, and the one loop over tokens."""
