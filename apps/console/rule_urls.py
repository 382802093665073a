"""The addresses of rules."""

from django.urls import path

from apps.console.views import rules

urlpatterns = [
    path("settings/rules/", rules.rule_list, name="rule-list"),
    path("settings/rules/new/", rules.new_rule, name="rule-new"),
    path("settings/rules/<int:rule_id>/", rules.rule_page, name="rule"),
    path("settings/rules/<int:rule_id>/edit/", rules.edit_rule, name="rule-edit"),
    path("settings/rules/<int:rule_id>/switch", rules.switch, name="rule-switch"),
    path("settings/rules/<int:rule_id>/remove", rules.remove, name="rule-remove"),
]
