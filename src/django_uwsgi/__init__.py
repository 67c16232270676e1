"""django-uwsgi's package name, with muleteer's decorators in `django_uwsgi.decorators`.

Runs in: anywhere; it needs neither Django nor a server.
"""
