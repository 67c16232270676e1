"""One process per generation: it imports the application once and forks it many times."""
