import base64
import io
from xml.etree import ElementTree as ET

import pytest
from PIL import Image
from playwright.sync_api import Page

from redemption.exports import qr_svg, redeem_link
from redemption.exports.qr import qr_modules
from tests.redemption.exports.examples import LINK, make_codes, read_qr_codes

LINKS = [LINK, "http://10.0.0.1:8000/redeem/", f"https://{'long.' * 30}example/redeem/"]


@pytest.mark.browser
@pytest.mark.parametrize("link", LINKS)
def test_a_browser_shows_the_svg_so_that_it_scans_even_on_black(page: Page, link: str) -> None:
    [code] = make_codes(1)
    image = base64.b64encode(qr_svg(redeem_link(link, code)).encode()).decode()
    page.set_content(f'<body style="background: #000"><img src="data:image/svg+xml;base64,{image}">')

    [symbol] = read_qr_codes(Image.open(io.BytesIO(page.screenshot())))

    assert symbol.text == redeem_link(link, code)


def test_an_svg_needs_nothing_but_itself_and_keeps_four_modules_white_around() -> None:
    text = redeem_link(LINK, "AAAA-AAAA-AAAA-AAAA-A")
    root = ET.fromstring(qr_svg(text))
    size = len(qr_modules(text)) + 8

    assert root.get("viewBox") == f"0 0 {size} {size}"
    assert root.get("width") == root.get("height") == str(8 * size)
    assert {element.tag.partition("}")[2] for element in root.iter()} == {"svg", "path"}
    ground, modules = root
    assert (ground.get("fill"), ground.get("d")) == ("#fff", f"M0 0h{size}v{size}H0z")
    assert modules.get("d", "").startswith("M4 4h7v1h-7z")
