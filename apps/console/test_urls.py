"""The addresses of test runs."""

from django.urls import path

from apps.console.editor_urls import FLOW
from apps.console.views import test_runs

urlpatterns = [
    path(FLOW + "definition/test/", test_runs.test_form, name="flow-test-new"),
    path(FLOW + "definition/test/start", test_runs.start, name="flow-test-start"),
    path(FLOW + "tests/<int:test_id>/", test_runs.test_page, name="flow-test"),
    path(FLOW + "tests/<int:test_id>/publish", test_runs.publish, name="flow-test-publish"),
]
