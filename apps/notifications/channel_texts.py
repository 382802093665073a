"""A letter for a channel: Slack-compatible blocks, or JSON that a program reads."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from apps.core.clock import wall_now
from apps.core.text import short
from apps.notifications.letters import Detail, Group, Letter, Link, Section
from apps.notifications.models import Message, MessageDelivery

LONGEST_SECTION = 2_900
"""Slack takes 3,000 characters in a block of text, and 50 blocks; each section of ours needs three."""
MOST_SECTIONS = 14
MOST_BUTTONS = 5
MOST_DETAILS = 5


# --- Slack-compatible ------------------------------------------------------------------------------------------------
def slack_body(letter: Letter, account: str) -> dict[str, Any]:
    """A message of blocks; `text` is what a notification, or a program that knows no blocks, shows."""
    return {"text": f"{letter.subject} · {account}", "blocks": list(blocks_of(letter, account))}


def blocks_of(letter: Letter, account: str) -> Iterator[dict[str, Any]]:
    summary = "\n".join(escaped(line) for line in letter.summary)
    yield text_block(f"*{escaped(letter.subject)}*\n{escaped(account)}" + (f"\n{summary}" if summary else ""))
    for section in letter.sections[:MOST_SECTIONS]:
        yield text_block(section_text(section))
        if section.links:
            yield buttons(section.links)
    if len(letter.sections) > MOST_SECTIONS:
        yield text_block(f"{len(letter.sections) - MOST_SECTIONS:,} more flows")
    if letter.links:
        yield buttons(letter.links)


def text_block(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": short(text, LONGEST_SECTION)}}


def buttons(links: tuple[Link, ...]) -> dict[str, Any]:
    """Buttons that open a page: whoever follows them signs in there, and is asked before anything is done."""
    elements = [
        {"type": "button", "text": {"type": "plain_text", "text": short(link.label, 75)}, "url": link.href}
        for link in links[:MOST_BUTTONS]
    ]
    return {"type": "actions", "elements": elements}


def section_text(section: Section) -> str:
    title = f"<{section.href}|{escaped(section.title)}>" if section.href else escaped(section.title)
    lines = [f"*{escaped(section.above)}* {title}" if section.above else f"*{title}*", " · ".join(section.counts)]
    for group in section.groups:
        lines += group_lines(group)
    return "\n".join(line for line in lines if line)


def group_lines(group: Group) -> Iterator[str]:
    if group.title:
        yield f"_{escaped(group.title)}_"
    for detail in group.details[:MOST_DETAILS]:
        words = [detail.step, f"key {detail.key}" if detail.key else "", detail.note]
        about = ", ".join(escaped(word) for word in words if word)
        yield f"• <{detail.href}|{escaped(short(detail.text, 150))}>" + (f" ({about})" if about else "")
    if len(group.details) > MOST_DETAILS or group.more is not None:
        yield "• and more"


def escaped(text: str) -> str:
    """As Slack asks for it; so no error message can mention anybody or pretend to be a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- JSON ------------------------------------------------------------------------------------------------------------
def webhook_body(letter: Letter, message: Message, delivery: MessageDelivery) -> dict[str, Any]:
    """What happened, in words and numbers, with the addresses of the pages. `id` is the same at each attempt."""
    return {
        "id": f"{message.pk}-{delivery.pk}",
        "type": letter.kind,
        "createdAt": (message.created_at or wall_now()).astimezone(UTC).isoformat(timespec="milliseconds"),
        "environment": letter.environment,
        "title": letter.title,
        "summary": list(letter.summary),
        "counts": {name: letter.facts[name] for name in ("new", "resolved", "open") if name in letter.facts},
        "links": links_of(letter.links),
        "sections": [section_facts(section) for section in letter.sections],
    }


def section_facts(section: Section) -> dict[str, Any]:
    return {
        "flow": section.title,
        "integration": section.above,
        "counts": list(section.counts),
        "links": links_of(section.links),
        "errors": [detail_facts(detail, group.title) for group in section.groups for detail in group.details],
    }


def detail_facts(detail: Detail, group: str) -> dict[str, Any]:
    at = detail.at.astimezone(UTC).isoformat(timespec="milliseconds") if detail.at else None
    facts = {"state": group.lower(), "message": detail.text, "step": detail.step, "traceKey": detail.key, "at": at}
    return facts | {"note": detail.note, "link": detail.href}


def links_of(links: tuple[Link, ...]) -> dict[str, str]:
    return {link.label: link.href for link in links}
