"""A real Chromium, driven from a thread of its own.

Playwright's sync API keeps an event loop running in its thread, and Django rightly refuses the ORM there. So the
browser lives in one worker thread, and a test hands it functions: `driver.run(lambda page: ...)`. The test's own
thread stays free for factories and asserts on the database.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Playwright, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
WIDTH = 1440  # at which a page is opened
WIDTHS = (WIDTH, 1920, 1024, 390)
HEIGHT = 900
Theme = Literal["light", "dark"]
Looks = dict[int, tuple[Theme, ...]]
LOOKS: Looks = {1440: ("light",), 390: ("dark",)}  # the two layouts, between which only room changes, and both themes
OTHER_LOOKS: Looks = {
    width: tuple(theme for theme in ("light", "dark") if theme not in LOOKS.get(width, ())) for width in WIDTHS
}
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RULES: dict[Theme, dict[str, Any]] = {
    "light": {"type": "tag", "values": [*STANDARDS, "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block", "target-size"]},  # what looks change
}
# a violation of the content security policy is an event of the document; nothing else tells all of them
WATCH_POLICY = """
window.policyViolations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.policyViolations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`));
"""
# what moves by itself while a page comes in; a click or a key of somebody is allowed to move something
WATCH_SHIFTS = """
window.layoutShift = 0;
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.layoutShift += shift.value;
}).observe({type: "layout-shift", buffered: true});
"""
MOST_SHIFT = 0.01
SETTLED = "() => document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))))"
# what asks to be clicked and no key can get to, or only after all else
UNREACHABLE = """() => {
  const reached = "a[href], button, input, select, textarea, summary, label, option, [tabindex='0']";
  const seen = [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility());
  const faults = seen.filter((element) => element.tabIndex > 0 || (element.matches("a") && !element.href)
    || (getComputedStyle(element).cursor === "pointer" && !element.closest(reached)));
  return faults.slice(0, 3).map((element) => element.outerHTML.slice(0, 160));
}"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
T = TypeVar("T")


class Driver:
    """Owns the browser's thread; `close()` ends it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: list[Any] = []  # of name and value
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser")
        self._playwright, self._browser = self._thread.submit(self._start).result()
        self._kept: dict[bool, Page] = {}  # with and without a script

    @staticmethod
    def _start() -> tuple[Playwright, Browser]:
        playwright = sync_playwright().start()
        return playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

    def close(self) -> None:
        self._thread.submit(self._browser.close).result()
        self._thread.submit(self._playwright.stop).result()
        self._thread.shutdown()

    def run(self, steps: Callable[[Page], T], *, script: bool = True) -> T:
        """Runs `steps` with an empty, signed-in page and returns their result.

        The page is kept for the next test: a new one compiles every script again, which takes longer than most tests.
        """
        return self._thread.submit(self._on_kept_page, steps, script).result()

    def _on_kept_page(self, steps: Callable[[Page], T], script: bool) -> T:
        page = self._kept.pop(script, None) or self._new_context(script).new_page()
        page.context.clear_cookies()
        self._sign_in(page.context)
        try:
            result = steps(page)
        except BaseException:
            page.context.close()
            raise
        page.goto("about:blank")  # nothing asks for news any more
        self._kept[script] = page
        return result

    def _new_context(self, script: bool) -> BrowserContext:
        context = self._browser.new_context(
            base_url=self.address,
            viewport={"width": WIDTH, "height": HEIGHT},
            java_script_enabled=script,
            color_scheme="light",
            reduced_motion="reduce",  # no colour half-way between two themes, no spinner that takes time to draw
        )
        context.add_init_script(WATCH_POLICY)
        context.add_init_script(WATCH_SHIFTS)
        return context

    def _sign_in(self, context: BrowserContext) -> None:
        context.add_cookies([cookie | {"url": self.address} for cookie in self.cookies])

    def inspect(self, *paths: str, looks: Looks = LOOKS, shots: Path | None = None) -> list[str]:
        """Opens pages in a context of their own, looks at each and returns what is wrong with them."""
        return self._thread.submit(self._inspect, paths, looks, shots).result()

    def _inspect(self, paths: tuple[str, ...], looks: Looks, shots: Path | None) -> list[str]:
        context = self._new_context(script=True)
        self._sign_in(context)
        try:
            page = context.new_page()
            return [f"{path}: {fault}" for path in paths for fault in _faults_of(page, path, looks, shots)]
        finally:
            context.close()


def _faults_of(page: Page, path: str, looks: Looks, shots: Path | None) -> list[str]:
    with _heard(page) as problems:
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.emulate_media(color_scheme="light")
        page.goto(path)
        page.evaluate(SETTLED)
        problems += _moved(page)
        problems += [f"out of reach of the keyboard: {element}" for element in page.evaluate(UNREACHABLE)]
        # evaluated over the debugging protocol: the page's policy forbids an injected <script>, as it should
        page.evaluate(AXE)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            problems += _overflow_at(page, width)
            for theme in looks.get(width, ()):
                problems += [f"in {theme} at {width} px: {violation}" for violation in _violations_in(page, theme)]
                if shots:
                    page.screenshot(path=shots / f"{_file_name(path)}-{theme}-{width}.png", full_page=True)
        problems += page.evaluate("window.policyViolations")
    return problems


@contextmanager
def _heard(page: Page) -> Iterator[list[str]]:
    """What the page says of itself meanwhile: errors and warnings of its console, exceptions of its scripts."""
    problems: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            problems.append(message.text)

    def catch(error: Error) -> None:
        problems.append(str(error))

    page.on("console", hear)
    page.on("pageerror", catch)
    yield problems
    page.remove_listener("console", hear)
    page.remove_listener("pageerror", catch)


def _moved(page: Page) -> list[str]:
    shift = page.evaluate("window.layoutShift")
    return [f"its parts move by {shift:.3f} while it comes in"] if shift > MOST_SHIFT else []


def _overflow_at(page: Page, width: int) -> list[str]:
    overflow = page.evaluate(OVERFLOW)
    if overflow > 0:  # charts are drawn anew once they know their width
        page.evaluate(SETTLED)
        overflow = page.evaluate(OVERFLOW)
    return [f"{overflow} px wider than the window at {width} px"] if overflow > 0 else []


def _violations_in(page: Page, theme: Theme) -> list[str]:
    page.emulate_media(color_scheme=theme)
    page.evaluate("(theme) => document.documentElement.dataset.theme = theme", theme)
    options = {"runOnly": RULES[theme], "resultTypes": ["violations"]}
    result = page.evaluate("(options) => axe.run(document, options)", options)
    return [_violation(violation) for violation in result["violations"]]


def _violation(violation: dict[str, Any]) -> str:
    nodes = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
    return f"axe {violation['id']}: {violation['help']} ({nodes})"


def _file_name(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "home"
