"""The addresses of root causes, of bulk edits, of tags, assignment and comments, and of saved views."""

from django.urls import path, register_converter

from apps.console.addresses import CauseId
from apps.console.flow_urls import ERROR
from apps.console.views import cause_acts, notes, tags, views
from apps.console.views.bulk_edit import bulk_edit
from apps.console.views.causes import cause_merge, cause_view
from apps.console.views.errors import error_view

register_converter(CauseId, "cause")

CAUSE = "errors/causes/<cause:cause_id>/"

urlpatterns = [
    path(CAUSE, cause_view, name="cause"),
    path(CAUSE + "merge/", cause_merge, name="cause-merging"),
    path(CAUSE + "merge", cause_acts.merge, name="cause-merge"),
    path(CAUSE + "unmerge", cause_acts.unmerge, name="cause-unmerge"),
    path(CAUSE + "classify", cause_acts.classify, name="cause-classify"),
    path(CAUSE + "unclassify", cause_acts.unclassify, name="cause-unclassify"),
    path(CAUSE + "snooze", cause_acts.snooze, name="cause-snooze"),
    path(CAUSE + "wake", cause_acts.wake, name="cause-wake"),
    path(CAUSE + "assign", cause_acts.assign, name="cause-assign"),
    path(CAUSE + "comment", cause_acts.comment, name="cause-comment"),
    path(ERROR + "notes/", error_view, {"tab": "notes"}, name="error-notes"),
    path("errors/edit", bulk_edit, name="errors-edit"),
    path("errors/assign", notes.assign, name="errors-assign"),
    path("errors/tag", notes.tag, name="errors-tag"),
    path("errors/comment", notes.comment, name="errors-comment"),
    path("errors/tags/", tags.tag_list, name="tag-list"),
    path("errors/tags/define", tags.define, name="tag-define"),
    path("errors/tags/<int:tag_id>/rename", tags.rename, name="tag-rename"),
    path("errors/tags/<int:tag_id>/delete", tags.delete, name="tag-delete"),
    path("errors/views/", views.view_list, name="view-list"),
    path("errors/views/save", views.save, name="view-save"),
    path("errors/views/<int:view_id>/rename", views.rename, name="view-rename"),
    path("errors/views/<int:view_id>/delete", views.delete, name="view-delete"),
]
