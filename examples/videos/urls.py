"""Four addresses: the page, its list of tasks, the form's target, and a picture."""

from __future__ import annotations

from django.urls import path

from videos import views

urlpatterns = [
    path("", views.index, name="index"),
    path("tasks", views.task_list, name="tasks"),
    path("encode", views.encode, name="encode"),
    path("pictures/<str:name>", views.picture, name="picture"),
]
