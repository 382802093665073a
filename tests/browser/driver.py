"""A real Chromium, driven from a thread of its own.

Playwright's sync API keeps an event loop running in its thread, and Django rightly refuses the ORM there. So the
browser lives in one worker thread, and a test hands it functions: `driver.run(lambda page: ...)`. The test's own
thread stays free for factories and asserts on the database.
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

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
WIDTHS = (1920, 1440, 1024, 390)
AXE_WIDTHS = (1440, 390)  # the two layouts; between them only room changes
HEIGHT = 900
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES: dict[Literal["light", "dark"], dict[str, Any]] = {  # a theme changes colours only
    "light": {"type": "tag", "values": STANDARDS},
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
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
    """Owns the browser's thread; `close()` ends it. Every function given to `run` gets a fresh page."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: list[Any] = []  # of name and value
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="browser")
        self._playwright, self._browser = self._thread.submit(self._start).result()

    @staticmethod
    def _start() -> tuple[Playwright, Browser]:
        playwright = sync_playwright().start()
        return playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

    def close(self) -> None:
        self._thread.submit(self._browser.close).result()
        self._thread.submit(self._playwright.stop).result()
        self._thread.shutdown()

    def run(self, steps: Callable[[Page], T], *, width: int = 1440, script: bool = True, scheme: str = "light") -> T:
        """Runs `steps` with a new page of a new, signed-in context and returns their result."""
        return self._thread.submit(self._in_context, steps, width, script, scheme).result()

    def _in_context(self, steps: Callable[[Page], T], width: int, script: bool, scheme: str) -> T:
        options: dict[str, Any] = {"java_script_enabled": script, "color_scheme": scheme}
        context = self._browser.new_context(
            base_url=self.address, viewport={"width": width, "height": HEIGHT}, **options
        )
        context.add_cookies([cookie | {"url": self.address} for cookie in self.cookies])
        context.add_init_script(WATCH_POLICY)
        context.add_init_script(WATCH_SHIFTS)
        try:
            return steps(context.new_page())
        finally:
            context.close()

    def inspect(self, *paths: str, shots: Path | None = None) -> list[str]:
        """Opens pages, looks at each in both themes and at every width and returns what is wrong with them."""
        return self.run(lambda page: [fault for path in paths for fault in _inspected(page.context, path, shots)])


def _inspected(context: BrowserContext, path: str, shots: Path | None) -> list[str]:
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: _note(problems, message.type, message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path)
    page.evaluate(SETTLED)
    problems += _moved(page)
    problems += [f"out of reach of the keyboard: {element}" for element in page.evaluate(UNREACHABLE)]
    # evaluated over the debugging protocol: the page's policy forbids an injected <script>, as it should
    page.evaluate(AXE)
    for theme, rules in RULES.items():
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # no colour half-way between two themes
        page.evaluate("(theme) => document.documentElement.dataset.theme = theme", theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": HEIGHT})
            problems += [f"in {theme} at {width} px: {problem}" for problem in _problems_at(page, width, rules)]
            if shots:
                page.screenshot(path=shots / f"{_file_name(path)}-{theme}-{width}.png", full_page=True)
    problems += page.evaluate("window.policyViolations")
    page.close()
    return [f"{path}: {problem}" for problem in problems]


def _moved(page: Page) -> list[str]:
    shift = page.evaluate("window.layoutShift")
    return [f"its parts move by {shift:.3f} while it comes in"] if shift > MOST_SHIFT else []


def _problems_at(page: Page, width: int, rules: dict[str, Any]) -> list[str]:
    overflow = page.evaluate(OVERFLOW)
    if overflow > 0:  # charts are drawn anew once they know their width
        page.evaluate(SETTLED)
        overflow = page.evaluate(OVERFLOW)
    problems = [f"{overflow} px wider than the window"] if overflow > 0 else []
    return problems + _axe(page, rules) if width in AXE_WIDTHS else problems


def _file_name(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "home"


def _note(problems: list[str], kind: str, text: str) -> None:
    if kind in {"error", "warning"}:
        problems.append(text)


def _axe(page: Page, rules: dict[str, Any]) -> list[str]:
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    result = page.evaluate("(options) => axe.run(document, options)", options)
    return [_violation(violation) for violation in result["violations"]]


def _violation(violation: dict[str, Any]) -> str:
    nodes = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
    return f"axe {violation['id']}: {violation['help']} ({nodes})"
