"""A visit to a page: what the browser is like, what it asked for, and what it complained of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHAPES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
# Playwright's own scripts run whatever the page's policy is.
REPORT_VIOLATIONS = """
document.addEventListener('securitypolicyviolation',
  (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))
"""


@dataclass(frozen=True)
class Visit:
    """An open page."""

    page: Page
    requests: list[str] = field(default_factory=list)
    # What a page says to nobody, if all is well: console, uncaught errors, dialogs.
    complaints: list[str] = field(default_factory=list)

    def run(self, script: str) -> Any:
        """Return what a function of JavaScript returns on the page."""
        return self.page.evaluate(script)


@contextmanager
def visiting(
    browser: Browser, url: str, shape: str = "desktop", *, refreshed: bool = False, **options: Any
) -> Iterator[Visit]:
    """Open a page in a browser that remembers nothing; it is renewed only where that is wanted."""
    context = browser.new_context(**SHAPES[shape], **options)
    if not refreshed:
        # RFC 9110 §15.3.5: the page stays as it is, however long a busy machine looks at it.
        context.route(url, lambda route: route.fulfill(status=204))
        context.route(url, lambda route: route.continue_(), times=1)
    try:
        context.set_default_timeout(30_000)
        context.add_init_script(REPORT_VIOLATIONS)
        visit = Visit(context.new_page())
        complain = visit.complaints.append
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("console", lambda message: complain(message.text))
        visit.page.on("pageerror", lambda error: complain(str(error)))
        visit.page.on("dialog", lambda dialog: (complain(dialog.message), dialog.dismiss()))
        answer = visit.page.goto(url)
        assert answer is not None
        assert answer.status == 200
        yield visit
    finally:
        context.close()
