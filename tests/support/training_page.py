"""Widgets that train, on a page (`support.stage`): their buttons, and what they say."""

ROOT = ".companion-live .companion"


def state(seen, index=0):
    return seen.page.locator(ROOT).nth(index).evaluate("(el) => ({...el.dataset})")


def wait(seen, condition, argument=None, index=0):
    """Wait until the widget's data attributes (`d`) are as JavaScript says."""
    seen.page.wait_for_function(
        f"""([root, index, argument]) => {{
            const d = document.querySelectorAll(root)[index]?.dataset;
            return d && ({condition});
        }}""",
        arg=[ROOT, index, argument],
    )


def button(seen, name, index=0):
    return seen.page.locator(ROOT).nth(index).get_by_role("button", name=name, exact=True)


def curve(seen, index=0):
    """The training loss as it is drawn."""
    return (
        seen.page.locator(ROOT).nth(index).locator("path.companion-curve").first.get_attribute("d")
    )


def shown(seen, quantity, index=0):
    found = seen.page.locator(ROOT).nth(index).locator(f"[data-quantity='{quantity}']").first
    return float(found.get_attribute("data-value"))


def train(seen, index=0):
    """Press Train by keyboard, as the preview shows it."""
    first = seen.page.get_by_role("button", name="Train").nth(index)
    first.focus()
    box = seen.page.locator(".companion-widget").nth(index)
    box.evaluate(
        """(box) => new Promise((resolve) => {
            const look = () =>
                box.dataset.state === "live" ? resolve() : requestAnimationFrame(look);
            look();
        })"""
    )
    focused = "document.activeElement === document.activeElement.closest('button')"
    assert seen.page.evaluate(focused)
    seen.page.keyboard.press("Enter")
