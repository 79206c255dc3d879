"""Credentials to principals: keys, JSON Web Tokens, networks, and what each may do."""
