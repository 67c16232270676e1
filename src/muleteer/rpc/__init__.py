"""Functions called by name: in this process, on another muleteer, on a uWSGI."""
