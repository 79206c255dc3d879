"""Engines in a process of their own: the frames both sides speak, the gateway's side and the child's."""
