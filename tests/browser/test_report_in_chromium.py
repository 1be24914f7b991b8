"""The report as a user meets it: opened from a file, looked through, sorted, on a phone, by keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chromium_page import set_size
from large_report import HIGH, HOSTILE, LOW, SHAPE, level, write_report_of_two

pytest.importorskip("selenium", reason="no selenium: make test-browser")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

# grey levels of a place (shares of the canvas) of one of the canvases, as drawn
PIXEL = """
const canvas = document.querySelectorAll(".stage canvas")[arguments[0]];
const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
copy.drawImage(canvas, -Math.floor(canvas.width * arguments[1]), -Math.floor(canvas.height * arguments[2]));
return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
"""
# a turn of the wheel over a canvas, with Ctrl or without; whether the page may scroll by it
WHEEL = """
const options = { deltaY: -300, ctrlKey: arguments[1], cancelable: true, bubbles: true, clientX: 300, clientY: 400 };
return arguments[0].dispatchEvent(new WheelEvent("wheel", options));
"""
INTRUDER = """
const script = document.createElement("script");
script.textContent = "window.ran = 1";
document.body.append(script);
"""


def find(driver: Any, selector: str) -> Any:
    return driver.find_element(By.CSS_SELECTOR, selector)


def settle(driver: Any) -> None:
    """Wait until all that is to be seen is decoded and drawn."""
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    WebDriverWait(driver, 30).until(lambda d: find(d, ".stage").get_attribute("data-ready") == "true")
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def choose(driver: Any, kind: str, value: str) -> None:
    """A button of `mode` or `axis`, by a click."""
    find(driver, f"input[name^={kind}][value='{value}']").click()
    settle(driver)


def pixel(driver: Any, canvas: int, x: float, y: float) -> list[int]:
    return driver.execute_script(PIXEL, canvas, x, y)


def grey(level: float) -> Any:
    """A grey level as drawn; JPEG is not exact."""
    return pytest.approx([255 * (level - LOW) / (HIGH - LOW)] * 3, abs=4)


def position(driver: Any) -> str:
    return find(driver, ".position").text


def press(driver: Any, *keys: str) -> None:
    """Keys on the images."""
    for key in keys:
        find(driver, ".stage").send_keys(key)
    settle(driver)


def test_opens_with_words_of_strangers_as_words(driver: Any, screenshots: Path) -> None:
    settle(driver)
    assert driver.title == "A large report"
    assert find(driver, ".sample h2").text.startswith(f"large {HOSTILE}")
    assert driver.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
    assert Select(find(driver, ".pick")).options[2].text == f"steady {HOSTILE}"
    driver.save_screenshot(str(screenshots / "first-screen.png"))


def test_a_script_that_got_in_would_not_run(driver: Any) -> None:
    """The content security policy holds even where escaping failed."""
    driver.execute_script(INTRUDER)
    assert driver.execute_script("return window.ran") is None
    (entry,) = driver.get_log("browser")  # the policy says so, and nothing else does
    assert "Content Security Policy" in entry["message"]


def test_the_slider_shows_every_slice(driver: Any) -> None:
    settle(driver)
    slider = find(driver, ".slice")
    assert (slider.get_attribute("max"), position(driver)) == (str(SHAPE[0] - 1), "z = 100")
    for z in (0, 57, 199):
        driver.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", slider, z
        )
        settle(driver)
        assert slider.get_attribute("aria-valuetext") == position(driver) == f"z = {z}"
        assert pixel(driver, 1, 0.5, 0.25) == grey(level(z, 0.25, 0.5))
    slider.send_keys(Keys.ARROW_LEFT)
    settle(driver)
    assert position(driver) == "z = 198"


def test_sections_along_every_axis_are_those_of_the_volume(driver: Any, screenshots: Path) -> None:
    settle(driver)
    choose(driver, "axis", "1")
    press(driver, Keys.HOME, Keys.PAGE_DOWN)
    assert position(driver) == "y = 10"
    assert pixel(driver, 1, 0.25, 0.75) == grey(level(150, 10 / SHAPE[1], 0.25))
    width, height = (find(driver, "canvas").size[side] for side in ("width", "height"))
    assert height / width == pytest.approx(200 * 30 / (128 * 25), abs=0.02)  # slices lie further apart than pixels
    driver.save_screenshot(str(screenshots / "section-y.png"))
    press(driver, "x", Keys.END)
    assert position(driver) == "x = 127"
    assert pixel(driver, 1, 0.5, 0.25) == grey(level(50, 0.5, 1))


def test_keys_go_through_the_slices_and_stop_at_the_ends(driver: Any) -> None:
    settle(driver)
    places = []
    for key in (Keys.HOME, Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.PAGE_DOWN, Keys.ARROW_UP, Keys.END, Keys.PAGE_DOWN):
        press(driver, key)
        places.append(int(position(driver).removeprefix("z = ")))
    assert places == [0, 0, 1, 11, 10, 199, 199]


def test_two_hundred_steps_in_one_go_end_at_the_right_slice(driver: Any) -> None:
    settle(driver)
    press(driver, Keys.HOME)
    find(driver, ".stage").send_keys(Keys.ARROW_RIGHT * 150)
    settle(driver)
    assert position(driver) == "z = 150"
    assert pixel(driver, 1, 0.5, 0.5) == grey(level(150, 0.5, 0.5))


def bars(driver: Any) -> list[str]:
    canvases = driver.find_elements(By.CSS_SELECTOR, ".stage canvas:not([hidden])")
    return [canvas.get_attribute("data-bar") for canvas in canvases]


def test_zoom_and_pan_are_shared_and_the_scale_bar_follows(driver: Any, screenshots: Path) -> None:
    settle(driver)
    assert bars(driver) == ["500 nm"] * 3
    for _ in range(4):
        find(driver, ".in").click()
    settle(driver)
    assert find(driver, ".zoom").text == "506 %"
    assert bars(driver) == ["100 nm"] * 3
    middle = pixel(driver, 1, 0.5, 0.5)
    assert middle == grey(level(100, 0.5, 0.5))
    for _ in range(3):
        find(driver, ".stage").send_keys(Keys.SHIFT + Keys.ARROW_RIGHT + Keys.NULL)
    settle(driver)
    assert pixel(driver, 1, 0.5, 0.5)[0] > middle[0] + 2
    driver.save_screenshot(str(screenshots / "zoomed.png"))
    canvas = driver.find_elements(By.CSS_SELECTOR, ".stage canvas")[1]
    ActionChains(driver).click_and_hold(canvas).move_by_offset(-100, 0).release().perform()
    settle(driver)
    assert pixel(driver, 1, 0.5, 0.5)[0] > middle[0] + 8
    press(driver, "0")
    assert find(driver, ".zoom").text == "100 %"


def test_the_wheel_zooms_where_the_images_have_the_focus_else_the_page_scrolls(driver: Any) -> None:
    settle(driver)
    canvas = driver.find_elements(By.CSS_SELECTOR, ".stage canvas")[0]
    assert driver.execute_script(WHEEL, canvas, False) is True  # not taken
    assert find(driver, ".zoom").text == "100 %"
    canvas.click()
    assert driver.execute_script(WHEEL, canvas, False) is False
    settle(driver)
    first = int(find(driver, ".zoom").text.removesuffix(" %"))
    assert first > 100
    driver.execute_script("document.activeElement.blur()")
    assert driver.execute_script(WHEEL, canvas, True) is False
    settle(driver)
    assert int(find(driver, ".zoom").text.removesuffix(" %")) > first


def test_the_swipe_shows_one_on_each_side_of_the_divide(driver: Any, screenshots: Path) -> None:
    choose(driver, "mode", "swipe")
    left, right = (Select(pick) for pick in driver.find_elements(By.CSS_SELECTOR, ".pick")[:2])
    left.select_by_visible_text("ramp")
    right.select_by_value("2")
    settle(driver)
    assert pixel(driver, 0, 0.3, 0.5) == grey(level(100, 0.5, 0.3))
    assert pixel(driver, 0, 0.7, 0.5) == grey(60)
    canvas = find(driver, "canvas")
    ActionChains(driver).click_and_hold(canvas).move_by_offset(-int(canvas.size["width"] * 0.4), 0).release().perform()
    settle(driver)
    assert pixel(driver, 0, 0.3, 0.5) == grey(60)
    find(driver, ".divide").send_keys(Keys.END)
    settle(driver)
    assert pixel(driver, 0, 0.7, 0.5) == grey(level(100, 0.5, 0.7))
    find(driver, ".divide").send_keys(Keys.PAGE_DOWN * 5)
    settle(driver)
    driver.save_screenshot(str(screenshots / "swipe.png"))


def test_the_difference_has_a_sign_and_is_white_where_there_is_none(driver: Any, screenshots: Path) -> None:
    settle(driver)
    choose(driver, "mode", "difference")
    offered = Select(find(driver, ".pick")).options
    assert [option.is_enabled() for option in offered] == [False, True, True, False, False]  # of one grey scale alone
    red, _, blue = pixel(driver, 2, 0.95, 0.95)  # the ramp is brighter there
    assert red > blue + 60
    driver.save_screenshot(str(screenshots / "difference.png"))
    Select(driver.find_elements(By.CSS_SELECTOR, ".pick")[1]).select_by_visible_text("ramp")
    settle(driver)
    assert pixel(driver, 2, 0.95, 0.95) == pytest.approx([247] * 3, abs=3)


@pytest.mark.parametrize(
    ("name", "unit"),
    [("Uncertainty of ramp", "one standard deviation"), ("TXM not explained by ramp", "in units of its noise")],
)
def test_what_is_no_image_has_colours_and_a_unit_of_its_own(driver: Any, name: str, unit: str) -> None:
    settle(driver)
    Select(driver.find_elements(By.CSS_SELECTOR, ".pick")[2]).select_by_visible_text(name)
    settle(driver)
    assert pixel(driver, 2, 0.5, 0.5)[2] < pixel(driver, 2, 0.5, 0.97)[0]
    assert unit in find(driver, ".legend").text


def test_two_fingers_zoom(driver: Any) -> None:
    set_size(driver, 360, 740, mobile=True)
    driver.refresh()
    settle(driver)
    driver.execute_script("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    box = driver.execute_script("return document.querySelector('canvas').getBoundingClientRect().toJSON()")
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for kind, apart in [("touchStart", 20), ("touchMove", 40), ("touchMove", 60), ("touchEnd", 0)]:
        points = (
            []
            if kind == "touchEnd"
            else [{"x": middle[0] + side * apart, "y": middle[1], "id": side + 1} for side in (-1, 1)]
        )
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    settle(driver)
    assert int(find(driver, ".zoom").text.removesuffix(" %")) == pytest.approx(300, rel=0.2)


def column(driver: Any, number: int) -> list[str]:
    return [
        cell.text
        for cell in driver.find_elements(
            By.CSS_SELECTOR, f"table.sortable:first-of-type tbody tr > :nth-child({number})"
        )[:3]
    ]


def test_the_table_is_sorted_by_click_and_by_key(driver: Any) -> None:
    heading = driver.find_elements(By.CSS_SELECTOR, "table.sortable thead button")[2]
    heading.click()
    assert heading.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    assert column(driver, 1) == ["steady", "other", "ramp"]
    heading.send_keys(Keys.ENTER)
    assert heading.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
    assert column(driver, 1) == ["ramp", "other", "steady"]
    driver.find_elements(By.CSS_SELECTOR, "table.sortable thead button")[0].send_keys(Keys.SPACE)
    assert column(driver, 1) == ["other", "ramp", "steady"]
    assert heading.find_element(By.XPATH, "..").get_attribute("aria-sort") == "none"


def test_a_figure_is_enlarged_and_the_focus_comes_back(driver: Any, screenshots: Path) -> None:
    button = find(driver, ".enlarge")
    button.click()
    box = find(driver, "#lightbox")
    assert box.is_displayed()
    assert "What figure 0 shows." in box.text
    ActionChains(driver).send_keys(Keys.ARROW_RIGHT).perform()
    assert "What figure 1 shows." in box.text
    driver.save_screenshot(str(screenshots / "figure.png"))
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert not box.is_displayed()
    assert driver.switch_to.active_element == button


def test_everything_is_reached_by_keyboard_with_a_visible_focus(driver: Any) -> None:
    settle(driver)
    ActionChains(driver).send_keys(Keys.TAB).perform()
    assert driver.switch_to.active_element.text == "Skip to the results"
    assert driver.switch_to.active_element.rect["x"] >= 0
    reached = []
    for _ in range(80):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        about = driver.execute_script(
            "const e = document.activeElement; const shown = e.matches('.segments input') ? e.nextElementSibling : e;"
            "return [e.className || e.name || e.textContent.trim(), getComputedStyle(shown).outlineStyle, e.tagName]"
        )
        if about[2] == "BODY":
            break
        assert about[1] != "none", about
        reached.append(about[0])
    for wanted in (
        "mode-1",
        "axis-1",
        "out",
        "in",
        "fit",
        "slice",
        "pick",
        "stage",
        "enlarge",
        "PSNR / dB",
        "Settings",
    ):
        assert wanted in reached, wanted


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(driver: Any, axe: str, scheme: str, width: int, screenshots: Path) -> None:
    set_size(driver, width, 900, mobile=width < 700)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.refresh()
    settle(driver)
    driver.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    driver.save_screenshot(str(screenshots / f"{scheme}-{width}.png"))
    driver.execute_script(axe)
    found = driver.execute_async_script("axe.run(document).then(arguments[0])")
    assert len(found["passes"]) > 20
    assert [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found["violations"]] == []


def test_axe_finds_nothing_in_an_enlarged_figure(driver: Any, axe: str) -> None:
    find(driver, ".enlarge").click()
    driver.execute_script(axe)
    found = driver.execute_async_script("axe.run(document.querySelector('dialog')).then(arguments[0])")
    assert [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found["violations"]] == []


def test_a_phone_scrolls_down_alone(driver: Any, screenshots: Path) -> None:
    set_size(driver, 360, 740, mobile=True)
    driver.refresh()
    settle(driver)
    for mode in ("side", "difference", "swipe"):
        choose(driver, "mode", mode)
        wide, room = driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= room == 360
    driver.execute_script("document.querySelector('.viewer').scrollIntoView()")
    driver.save_screenshot(str(screenshots / "phone-viewer.png"))
    driver.execute_script("document.querySelector('table.sortable').scrollIntoView()")
    driver.save_screenshot(str(screenshots / "phone-table.png"))


def test_an_index_leads_to_a_page_of_each_sample_and_back(browser: Any, tmp_path: Path) -> None:
    index = write_report_of_two(tmp_path)
    browser.get_log("browser")
    browser.get(index.as_uri())
    assert [link.text for link in browser.find_elements(By.CSS_SELECTOR, ".overview a")] == ["one rock", "another"]
    assert not browser.find_elements(By.CSS_SELECTOR, ".stage")
    find(browser, ".overview a").click()
    WebDriverWait(browser, 10).until(lambda page: page.title == "one rock – A large report")
    assert find(browser, ".stage canvas").is_displayed()
    find(browser, ".plate .enlarge").click()
    assert find(browser, "#lightbox").is_displayed()
    find(browser, "#lightbox .close").click()
    find(browser, "header a").click()
    WebDriverWait(browser, 10).until(lambda page: page.title == "A large report")
    assert browser.get_log("browser") == []
