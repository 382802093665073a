"""The console's pages."""

from django.urls import path, register_converter

from apps.console import (
    audit_urls,
    cause_urls,
    fix_urls,
    flow_urls,
    notification_urls,
    people_urls,
    retention_urls,
    rule_urls,
    support_urls,
    test_urls,
    token_urls,
)
from apps.console.addresses import TraceKey
from apps.console.views import acts, analytics, connections, dashboard, integration_settings, integrations, pausing
from apps.console.views.appearance import (
    choose_account,
    choose_columns,
    choose_density,
    choose_environment,
    choose_theme,
)
from apps.console.views.cloning import clone
from apps.console.views.design import design
from apps.console.views.guide import guide, topic
from apps.console.views.health import health, ready
from apps.console.views.home import home
from apps.console.views.live import live
from apps.console.views.profile import profile
from apps.console.views.records import record_journey, search
from apps.console.views.sign_in import SignIn, sign_out

register_converter(TraceKey, "key")

app_name = "console"
urlpatterns = [
    path("", home, name="home"),
    path("login/", SignIn.as_view(), name="sign-in"),
    path("logout/", sign_out, name="sign-out"),
    path("theme/choose/", choose_theme, name="theme-choose"),
    path("density/choose/", choose_density, name="density-choose"),
    path("columns/choose/", choose_columns, name="columns-choose"),
    path("account/choose/", choose_account, name="account-choose"),
    path("environment/choose/", choose_environment, name="environment-choose"),
    path("dashboard/", dashboard.to_completed, name="dashboards"),
    path("dashboard/completed/", dashboard.completed, name="dashboard"),
    path("dashboard/running/", dashboard.running, name="dashboard-running"),
    path("integrations/", integrations.integration_list, name="integration-list"),
    path("integrations/new/", integration_settings.new_integration, name="integration-new"),
    path(
        "integrations/error-automation/install",
        integration_settings.install_automation,
        name="error-automation-install",
    ),
    path("integrations/<slug:slug>/", integrations.to_flows),
    path("integrations/<slug:slug>/flows/", integrations.integration_flows, name="integration"),
    path(
        "integrations/<slug:slug>/connections/",
        integration_settings.integration_connections,
        name="integration-connections",
    ),
    path("integrations/<slug:slug>/settings/", integration_settings.integration_settings, name="integration-settings"),
    path("integrations/<slug:slug>/clone/", clone, name="integration-clone"),
    path("integrations/<slug:slug>/dashboard/", dashboard.to_completed),
    path("integrations/<slug:slug>/dashboard/completed/", dashboard.completed, name="integration-dashboard"),
    path("integrations/<slug:slug>/dashboard/running/", dashboard.running, name="integration-dashboard-running"),
    path("analytics/", analytics.account_analytics, name="analytics"),
    path("integrations/<slug:slug>/analytics/", analytics.integration_analytics, name="integration-analytics"),
    path("connections/", connections.connection_list, name="connection-list"),
    path("connections/new/", connections.choose_kind, name="connection-new"),
    path("connections/new/<slug:kind>/", connections.new_connection, name="connection-new-kind"),
    path("connections/<int:connection_id>/", connections.connection_page, name="connection"),
    path("connections/<int:connection_id>/edit/", connections.edit_connection, name="connection-edit"),
    path("connections/<int:connection_id>/test", connections.test, name="connection-test"),
    path("connections/<int:connection_id>/delete", connections.delete, name="connection-delete"),
    path("connections/<int:connection_id>/pause", pausing.pause, name="connection-pause"),
    path("connections/<int:connection_id>/resume", pausing.resume, name="connection-resume"),
    path("flows/<int:flow_id>/run", acts.run_flow, name="flow-run"),
    path("flows/<int:flow_id>/enable", acts.enable, name="flow-enable"),
    path("flows/<int:flow_id>/disable", acts.disable, name="flow-disable"),
    path("runs/<int:run_id>/cancel", acts.cancel, name="run-cancel"),
    *flow_urls.urlpatterns,
    *cause_urls.urlpatterns,
    *fix_urls.urlpatterns,
    *support_urls.urlpatterns,
    *test_urls.urlpatterns,
    *people_urls.urlpatterns,
    *retention_urls.urlpatterns,
    *notification_urls.urlpatterns,
    *audit_urls.urlpatterns,
    *rule_urls.urlpatterns,
    *token_urls.urlpatterns,
    path("records/", search, name="search"),
    path("records/<key:key>/", record_journey, name="record"),
    path("profile/", profile, name="profile"),
    path("help/", guide, name="help"),
    path("help/<slug:slug>/", topic, name="help-topic"),
    path("healthz", health, name="health"),
    path("readyz", ready, name="ready"),
    path("live/", live, name="live"),
    path("design/", design, name="design"),
]
