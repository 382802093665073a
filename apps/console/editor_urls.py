"""The addresses of the editor: a flow's definition and settings, and new flows."""

from django.urls import path

from apps.console.views import editor

FLOW = "flows/<int:flow_id>/"

urlpatterns = [
    path(FLOW + "definition/save", editor.save_definition, name="flow-definition-save"),
    path(FLOW + "definition/check", editor.check_definition, name="flow-definition-check"),
    path(FLOW + "definition/restore/", editor.restore_revision, name="flow-definition-restore"),
    path("integrations/<slug:slug>/flows/new/", editor.new_flow, name="flow-new"),
    path("integrations/<slug:slug>/flows/create", editor.create_flow, name="flow-create"),
    path("integrations/<slug:slug>/flows/check", editor.check_new_flow, name="flow-new-check"),
]
