"""What Django needs from the server, told in Django's words."""
