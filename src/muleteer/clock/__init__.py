"""Time in, due things out. Nothing in this room reads a clock."""
