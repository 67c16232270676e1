"""Bytes in, values out. Nothing in this room touches the operating system."""
