"""What each kind of child does. Only the difference; the common life is in role.py."""
