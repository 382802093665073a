"""The looks of everything that has a status, in one table: runs and errors bring theirs, the rest stands here."""

from apps.errors.states import ERROR_LOOKS
from apps.notifications.models import MESSAGE_LOOKS
from apps.runs.statuses import STATUS_LOOKS, StatusLook

RECORD_LOOKS = {
    "success": StatusLook("Success", "ok", "check"),
    "ignored": StatusLook("Ignored", "idle", "circle-slash"),
    "error": StatusLook("Error", "err", "octagon-x"),
    "rolled_back": StatusLook("Rolled back", "idle", "undo-2"),
}
CAUSE_LOOKS = {
    "new": StatusLook("New", "err", "circle-plus"),
    "ongoing": StatusLook("Ongoing", "err", "circle-dot"),
    "regressed": StatusLook("Came back", "err", "undo-2"),
    "snoozed": StatusLook("Snoozed", "idle", "bell-off"),
}
CONNECTION_LOOKS = {
    "online": StatusLook("Online", "ok", "circle-check"),
    "offline": StatusLook("Offline", "err", "octagon-x"),
    "never": StatusLook("Never tested", "idle", "circle-dashed"),
}
FLOW_LOOKS = {
    "enabled": StatusLook("Enabled", "ok", "power"),
    "disabled": StatusLook("Disabled", "idle", "pause"),
    "never_run": StatusLook("Never run", "idle", "circle-dashed"),
}
TOKEN_LOOKS = {
    "active": StatusLook("Active", "ok", "circle-check"),
    "expired": StatusLook("Expired", "idle", "clock"),
    "revoked": StatusLook("Revoked", "idle", "ban"),
    "member_disabled": StatusLook("Member disabled", "idle", "pause"),
}
DELIVERY_LOOKS = {
    "pending": StatusLook("Pending", "idle", "clock"),
    "delivered": StatusLook("Delivered", "ok", "circle-check"),
    "given_up": StatusLook("Given up", "err", "octagon-x"),
}
RULE_LOOKS = {
    "rule_off": StatusLook("Off", "idle", "circle-minus"),
    "rule_shadow": StatusLook("Shadow: it only looks", "run", "eye-off"),
    "rule_on": StatusLook("On", "ok", "zap"),
    "hit_acted": StatusLook("Acted", "ok", "zap"),
    "hit_shadow": StatusLook("Would have acted", "run", "eye-off"),
    "hit_guarded": StatusLook("Left alone: retried often enough", "warn", "repeat"),
}
GROUPS = {
    "Runs": STATUS_LOOKS,
    "Errors": ERROR_LOOKS,
    "Records": RECORD_LOOKS,
    "Root causes": CAUSE_LOOKS,
    "Connections": CONNECTION_LOOKS,
    "Flows": FLOW_LOOKS,
    "API tokens": TOKEN_LOOKS,
    "Deliveries of webhooks": DELIVERY_LOOKS,
    "Messages": MESSAGE_LOOKS,
    "Rules": RULE_LOOKS,
}
LOOKS: dict[str, StatusLook] = {key: look for group in GROUPS.values() for key, look in group.items()}


def look_of(key: str) -> StatusLook:
    """Word, role and icon of a status. Raises KeyError for one that nobody has given a look."""
    return LOOKS[key]
