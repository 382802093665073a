"""The addresses of flows, runs and errors. Ids are integers; the short form (`r-48213`) is understood too."""

from django.urls import path, register_converter

from apps.console import editor_urls
from apps.console.addresses import ErrorId, FlowId, RunId
from apps.console.views.account_errors import error_list, flow_errors
from apps.console.views.analytics import flow_analytics
from apps.console.views.definitions import flow_definition
from apps.console.views.error_acts import act_on_errors, act_page, undo
from apps.console.views.errors import error_view, step_errors
from apps.console.views.flows import flow_console, flow_history
from apps.console.views.hooks import hook_page, renew, send
from apps.console.views.retries import flow_retries, step_retries
from apps.console.views.retry_data import save_retry_data
from apps.console.views.run_compare import compare
from apps.console.views.run_logs import run_log
from apps.console.views.runs import run_page
from apps.console.views.steps import step_view

register_converter(FlowId, "flow")
register_converter(RunId, "run")
register_converter(ErrorId, "error")

STEP = "flows/<flow:flow_id>/steps/<int:step_id>/errors/"
STEP_VIEW = "flows/<flow:flow_id>/steps/<int:step_id>/"
ERROR = STEP + "<error:error_id>/"

urlpatterns = [
    path("flows/<flow:flow_id>/", flow_console, name="flow"),
    path("flows/<flow:flow_id>/history/", flow_history, name="flow-history"),
    path("flows/<flow:flow_id>/analytics/", flow_analytics, name="flow-analytics"),
    path("flows/<flow:flow_id>/history/compare/", compare, name="flow-history-compare"),
    path("flows/<flow:flow_id>/definition/", flow_definition, name="flow-definition"),
    path("flows/<flow:flow_id>/address/", hook_page, name="flow-hook"),
    path("flows/<flow:flow_id>/address/send", send, name="flow-hook-send"),
    path("flows/<flow:flow_id>/address/renew/", renew, name="flow-hook-renew"),
    path("flows/<flow:flow_id>/errors/", flow_errors, name="flow-errors"),
    path("flows/<flow:flow_id>/errors/retries/", flow_retries, name="flow-retries"),
    path(STEP_VIEW, step_view, {"tab": "overview"}, name="step-overview"),
    path(STEP_VIEW + "mapping/", step_view, {"tab": "mapping"}, name="step-mapping"),
    path(STEP_VIEW + "log/", step_view, {"tab": "log"}, name="step-log"),
    path(STEP + "open/", step_errors, {"state": "open"}, name="step-errors"),
    path(STEP + "resolved/", step_errors, {"state": "resolved"}, name="step-errors-resolved"),
    path(STEP + "retries/", step_retries, name="step-retries"),
    path(ERROR, error_view, {"tab": "error"}, name="error"),
    path(ERROR + "data/", error_view, {"tab": "data"}, name="error-data"),
    path(ERROR + "data/save", save_retry_data, {"then": "stay"}, name="error-data-save"),
    path(ERROR + "data/retry", save_retry_data, {"then": "retry"}, name="error-data-retry"),
    path(ERROR + "request/", error_view, {"tab": "request"}, name="error-request"),
    path(ERROR + "response/", error_view, {"tab": "response"}, name="error-response"),
    path(ERROR + "history/", error_view, {"tab": "history"}, name="error-history"),
    path("runs/<run:run_id>/", run_page, name="run"),
    path("runs/<run:run_id>/log/", run_log, name="run-log"),
    path("errors/", error_list, name="error-list"),
    path("errors/retry", act_on_errors, {"act": "retry"}, name="errors-retry"),
    path("errors/resolve", act_on_errors, {"act": "resolve"}, name="errors-resolve"),
    path("errors/mark-sent", act_on_errors, {"act": "sent"}, name="errors-mark-sent"),
    path("errors/reopen", act_on_errors, {"act": "reopen"}, name="errors-reopen"),
    path("acts/<int:act_id>/", act_page, name="error-act"),
    path("acts/<int:act_id>/undo", undo, name="error-act-undo"),
    *editor_urls.urlpatterns,
]
