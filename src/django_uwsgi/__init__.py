"""The package name of django-uwsgi; its decorators are in `django_uwsgi.decorators`.

Runs in: anywhere; it needs neither Django nor a server.
"""
