"""The first process: it supervises, keeps the clock, and never imports user code."""
