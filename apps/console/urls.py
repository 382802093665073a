"""The console's pages."""

from django.urls import path

from apps.console.views.appearance import choose_environment, choose_theme
from apps.console.views.design import design
from apps.console.views.health import health
from apps.console.views.home import home
from apps.console.views.live import live
from apps.console.views.sign_in import SignIn, SignOut

app_name = "console"
urlpatterns = [
    path("", home, name="home"),
    path("login/", SignIn.as_view(), name="sign-in"),
    path("logout/", SignOut.as_view(), name="sign-out"),
    path("theme/choose/", choose_theme, name="theme-choose"),
    path("environment/choose/", choose_environment, name="environment-choose"),
    path("healthz", health, name="health"),
    path("live/", live, name="live"),
    path("design/", design, name="design"),
]
