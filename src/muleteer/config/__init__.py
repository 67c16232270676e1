"""Options: declared once, read from ini files, the command line and the environment."""
