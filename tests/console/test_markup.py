"""Parts of pages that are put together in Python: nothing of a user's gets into the HTML unescaped."""

from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from apps.console.filters import Choice, Filter
from apps.console.markup import markup

NASTY = "<b>\"'&"
SHOWN = "&lt;b&gt;&quot;&#x27;&amp;"


def test_values_are_escaped_and_html_stays_as_it_is() -> None:
    assert markup("<td>{}{}{}{}</td>", NASTY, SafeString("<i>"), 7, gettext_lazy("<u>")) == (
        f"<td>{SHOWN}<i>7&lt;u&gt;</td>"
    )


def test_a_part_within_a_part_is_escaped_once() -> None:
    assert markup("<td>{}</td>", markup("<b>{}</b>", NASTY)) == f"<td><b>{SHOWN}</b></td>"


def test_the_links_of_a_filter_are_escaped_and_tell_the_chosen_one() -> None:
    menu = Filter("flow", "Flow", "", (Choice("a", NASTY, '/?flow=a&x="', True), Choice("b", "B", "/?flow=b", False)))
    assert menu.links == (f'<a href="/?flow=a&amp;x=&quot;" aria-current="true">{SHOWN}</a><a href="/?flow=b">B</a>')
