"""The addresses of ways to fix many errors from one edit, or from a file."""

from django.urls import path

from apps.console.views.edit_others import edit_others
from apps.console.views.uploads import upload_file, upload_look

urlpatterns = [
    path("errors/edit-others", edit_others, name="errors-edit-others"),
    path("errors/upload/", upload_file, name="errors-upload"),
    path("errors/upload/<int:upload_id>/", upload_look, name="errors-upload-look"),
]
