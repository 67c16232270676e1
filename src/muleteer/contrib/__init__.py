"""Frameworks, each in a room of its own, so that the core needs none of them."""
