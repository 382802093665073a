"""All settings, read from the environment; safe defaults for a newcomer on loopback.

`DEBUG` has three states. Unset: a newcomer's defaults are welcome, pages and speed are those of production. `1`: the
same for who works on Flowmend itself, with Django's pages for developers. `0`: production; `check --deploy` and the
start itself refuse the newcomer's defaults and name each one: see `apps/core/checks.py`.
"""

import math
import os
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from apps.core.logs import FORMATTERS

BASE_DIR = Path(__file__).resolve().parent.parent


def env(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def env_flag(name: str, default: bool) -> bool:
    return env(name, "1" if default else "0").strip().lower() in {"1", "true", "yes", "on"}


def env_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in env(name, default).split(",") if part.strip()]


def env_number(name: str, default: float, least: float) -> float:
    """A number of at least `least`; raises `ImproperlyConfigured` that names the variable."""
    text = env(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if least <= number < math.inf:
        return number
    raise ImproperlyConfigured(f"{name} is {text!r}: it has to be a number, {least:g} or more.")


def env_database(name: str, default: str) -> dict[str, Any]:
    """Where Flowmend's own database is; raises `ImproperlyConfigured` for what is no address of one."""
    try:
        found = dict(dj_database_url.parse(env(name) or default, conn_max_age=600, conn_health_checks=True))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} is no address of a database, such as postgres://user:password@host:5432/name."
        ) from error
    if str(found["ENGINE"]).endswith(("sqlite3", "postgresql")):
        return found
    raise ImproperlyConfigured(f"{name} names a database that Flowmend does not run on: PostgreSQL or SQLite, please.")


# --- Who we are -------------------------------------------------------------------------------------------------
DEBUG = env_flag("DEBUG", False)  # never on by itself: it shows code to whoever sees a page, and keeps every query
IS_NEWCOMER = env_flag("DEBUG", True)
BEHIND_PROXY = not IS_NEWCOMER and env_flag("BEHIND_PROXY", True)  # then its X-Forwarded headers are believed
DATA_DIR = Path(env("DATA_DIR", str(BASE_DIR / "var"))).resolve()
NEWCOMER_SECRET_KEY = "newcomer-only-change-me-" + "0" * 40
NEWCOMER_FIELD_KEY = "bmV3Y29tZXItb25seS1maWVsZC1rZXktMDAwMDAwMDA="
SECRET_KEY = env("SECRET_KEY", NEWCOMER_SECRET_KEY)
FIELD_KEYS = env_list("FIELD_KEYS", NEWCOMER_FIELD_KEY)  # newest first; the others only decrypt
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1],testserver")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS")
PUBLIC_URL = env("PUBLIC_URL", "http://127.0.0.1:8000")

# --- What flows may touch ---------------------------------------------------------------------------------------
EGRESS_ALLOW_NETS = env_list("EGRESS_ALLOW_NETS")  # private networks that connectors may reach, e.g. 10.1.0.0/16
FILES_ROOT = Path(env("FILES_ROOT", str(DATA_DIR / "files")))  # one folder per account below it
SQLITE_ROOT = Path(env("SQLITE_ROOT", str(DATA_DIR / "databases")))  # SQLite targets live only below it
EMAIL_ANY_RECIPIENT = env_flag("EMAIL_ANY_RECIPIENT", False)  # e-mail connections may write to any domain (*)
DEMO_DATABASE_URL = env("DEMO_DATABASE_URL")  # a PostgreSQL for what the demo writes; else a SQLite file

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "django_q",
    "drf_spectacular",
    "apps.core",
    "apps.accounts",
    "apps.webhooks",
    "apps.flows",
    "apps.runs",
    "apps.errors",
    "apps.retention",
    "apps.analytics",
    "apps.notifications",
    "apps.support",
    "apps.execution",
    "apps.console",
    "apps.api",
]

MIDDLEWARE = [
    "apps.core.middleware.RequestIdMiddleware",
    "apps.accounts.middleware.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.api.middleware.ApiMiddleware",
    "apps.console.gate.GateMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.console.context.console",
            ],
        },
    }
]

# --- Database: SQLite for a newcomer, PostgreSQL by DATABASE_URL ---------------------------------------------------
SQLITE_OPTIONS = {
    "timeout": 20,
    # measured under three web writers and two workers: deferred transactions 34 % "locked", immediate ones none
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=134217728;",
}
DATABASES = {"default": env_database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'flowmend.sqlite3'}")}
IS_POSTGRESQL = DATABASES["default"]["ENGINE"].endswith("postgresql")
if IS_POSTGRESQL:
    # a worker that is frozen in the middle of a transaction holds rows that everybody needs, until the server ends it
    own_options = DATABASES["default"].setdefault("OPTIONS", {})
    # no just-in-time compiling: no question of ours is long enough to win back the 20 to 90 ms that it takes
    # what a page asks for lies in memory or on an SSD: with the 4 of spinning disks, PostgreSQL reads 55,000 rows in
    # order to find the newest 500 errors of a tag (28 ms on 1 M), instead of asking for 1,580 by their keys (8 ms)
    own_settings = "-c idle_in_transaction_session_timeout=60s -c jit=off -c random_page_cost=1.1"
    own_options["options"] = f"{own_options.get('options', '')} {own_settings}".strip()
else:
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- The queue: only hints travel here, the run rows decide -----------------------------------------------------------
REDIS_URL = env("REDIS_URL")
WORKERS = int(env_number("WORKERS", 2, 1))
WEB_THREADS = int(env_number("WEB_THREADS", 4, 1))
Q_CLUSTER = {
    "name": "flowmend",  # also the salt of the task signatures: never change it
    "workers": WORKERS,
    "timeout": 3600,
    # above timeout x (queue_limit / workers + 2): a task must never run beside itself because it waited
    "retry": 3600 * 3 + 60,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,  # saving results locks all saved rows per task: 341 -> 106 tasks/s
    "bulk": 1,
    "queue_limit": WORKERS,
    "guard_cycle": 0.5,
    "recycle": 500,
    "catch_up": False,
    "scheduler": False,  # looks every 30 s; our dispatcher claims what is due, second-exact
    "poll": 0.1,
    "label": "Queue",
}
LEASE_SECONDS = env_number("LEASE_SECONDS", 30, 1)  # a worker that is silent for longer has lost its run
SLICE_SECONDS = env_number("SLICE_SECONDS", 60, 1)  # after that a worker gives a long run back if another one waits
RETRY_DATA_PER_STEP = env_number("RETRY_DATA_PER_STEP", 20_000, 1)  # the newest of each step; older records are purged
if REDIS_URL:
    Q_CLUSTER["redis"] = REDIS_URL
else:
    Q_CLUSTER["orm"] = "default"

# --- People -------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.MemberBackend"]
SESSION_ENGINE = "apps.accounts.sessions"
PASSWORD_RESET_TIMEOUT = 3600
LOGIN_URL = "console:sign-in"
LOGIN_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "apps.console.views.failures.out_of_date"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
EMAIL_BACKEND = env("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
EMAIL_HOST = env("EMAIL_HOST", "localhost")
EMAIL_PORT = int(env_number("EMAIL_PORT", 25, 1))
EMAIL_HOST_USER = env("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env_flag("EMAIL_USE_TLS", False)
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", "flowmend@localhost")
EMAIL_TIMEOUT = 30  # seconds; without one a mail server that says nothing holds its worker for ever
SUPPORT_EMAIL = env("SUPPORT_EMAIL")  # who gets support bundles; none: they are downloaded
SUPPORT_CHAT_URL = env("SUPPORT_CHAT_URL")  # a chat that the help center links

# --- The REST API ----------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema", "UNAUTHENTICATED_USER": None}
SPECTACULAR_SETTINGS = {
    "TITLE": "Flowmend",
    "DESCRIPTION": "Runs, errors, retries, flows and connections of an account.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

# --- Time and language ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
USE_THOUSAND_SEPARATOR = False

# --- Static files and pages ------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_STORAGE = "django.contrib.staticfiles.storage.StaticFilesStorage"
if not DEBUG:  # names with a hash, compressed once by collectstatic, kept by browsers for ever
    STATIC_STORAGE = "config.static_storage.StaticStorage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": STATIC_STORAGE},
}
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REDIRECT_EXEMPT = [r"^v1(/|$)"]  # the API never redirects: over plain HTTP it refuses, see its middleware
if not IS_NEWCOMER:
    SECURE_SSL_REDIRECT = env_flag("SECURE_SSL_REDIRECT", True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
    SECURE_HSTS_SECONDS = int(env_number("SECURE_HSTS_SECONDS", 365 * 86400, 0))
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-session"
    CSRF_COOKIE_NAME = "__Host-csrf"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

LOG_LEVEL = env("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured(f"LOG_LEVEL is {LOG_LEVEL!r}: DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOG_FORMAT = env("LOG_FORMAT", "line")
if LOG_FORMAT not in FORMATTERS:
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}: line or json.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"chosen": {"()": FORMATTERS[LOG_FORMAT]}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "chosen"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # it tells every hint that it passes on; the log of a run tells what was done
    "loggers": {"django-q": {"level": LOG_LEVEL if LOG_LEVEL in {"DEBUG", "ERROR", "CRITICAL"} else "WARNING"}},
}
