"""The way of a request: from an accepted socket to the application and back."""
