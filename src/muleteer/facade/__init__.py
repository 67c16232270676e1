"""What an application sees of the server: the module it imports as `uwsgi`."""
