"""Tasks that wait on disk: where they lie, how they are claimed and how they end."""
