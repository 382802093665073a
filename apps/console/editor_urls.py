"""The addresses of the editor: a flow's definition and settings, and new flows."""

from django.urls import path

from apps.console.views import checkpoints, editor, settings

FLOW = "flows/<int:flow_id>/"
STEP = FLOW + "steps/<int:step_id>/handling/"

urlpatterns = [
    path(FLOW + "definition/save", editor.save_definition, name="flow-definition-save"),
    path(FLOW + "definition/check", editor.check_definition, name="flow-definition-check"),
    path(FLOW + "definition/restore/", editor.restore_revision, name="flow-definition-restore"),
    path(FLOW + "settings/", settings.flow_settings, name="flow-settings"),
    path(FLOW + "settings/<slug:section>/save", settings.save_setting, name="flow-setting-save"),
    path(FLOW + "settings/<slug:section>/preview", settings.preview_setting, name="flow-setting-preview"),
    path(FLOW + "checkpoint/", checkpoints.checkpoint_page, name="flow-checkpoint"),
    path(FLOW + "checkpoint/move/", checkpoints.move, name="flow-checkpoint-move"),
    path(STEP, settings.step_handling, name="step-handling"),
    path(STEP + "save", settings.save_handling, name="step-handling-save"),
    path(STEP + "preview", settings.preview_handling, name="step-handling-preview"),
    path("integrations/<slug:slug>/flows/new/", editor.new_flow, name="flow-new"),
    path("integrations/<slug:slug>/flows/create", editor.create_flow, name="flow-create"),
    path("integrations/<slug:slug>/flows/check", editor.check_new_flow, name="flow-new-check"),
]
