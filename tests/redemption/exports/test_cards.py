import re
from typing import Any

import pypdfium2
import pytest
from django.utils.translation import override

from redemption.exports import FORMATS, MAX_PDF_CODES, Sheet, TooManyForPdfError, redeem_link
from tests.redemption.exports.examples import LINK, SINCE, UNTIL, make_codes, make_sheet, read_qr_codes

POINTS_A_MM = 72 / 25.4
SCALE = 3


def draw(sheet: Sheet, codes: list[str]) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(b"".join(FORMATS["pdf"].write(sheet, iter(codes))))


def lines(document: pypdfium2.PdfDocument, page: int = 0) -> list[str]:
    return [line.strip() for line in document[page].get_textpage().get_text_range().splitlines()]


def test_a_card_has_the_amount_the_validity_the_code_and_where_to_take_it() -> None:
    [code] = make_codes(1)

    assert lines(draw(make_sheet(), [code])) == [
        "#42 1 / 1",
        "$10.00",
        "2026-03-01 00:00 –",
        "2026-12-31 23:59 UTC",
        code,
        "quota.example/redeem",
    ]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"valid_from": None, "valid_until": None}, []),
        ({"valid_from": SINCE, "valid_until": None}, ["2026-03-01 00:00 UTC –"]),
        ({"valid_from": None, "valid_until": UNTIL}, ["– 2026-12-31 23:59 UTC"]),
        ({"valid_from": None, "valid_until": None, "uses_per_code": 1_000}, ["× 1,000"]),
    ],
)
def test_a_card_says_only_what_is_so(changes: dict[str, Any], shown: list[str]) -> None:
    assert lines(draw(make_sheet(**changes), ["AAAA"]))[2:-2] == shown


def test_an_address_that_is_not_encrypted_is_shown_with_its_scheme() -> None:
    assert lines(draw(make_sheet(link="http://10.0.0.1/redeem/"), ["AAAA"]))[-1] == "http://10.0.0.1/redeem"


def test_ten_cards_are_on_a_page_of_a4_and_every_code_on_one_card() -> None:
    codes = list(make_codes(23))

    document = draw(make_sheet(), codes)

    assert [tuple(round(side / POINTS_A_MM) for side in page.get_size()) for page in document] == [
        (210, 297)
    ] * 3
    found = [
        [line for line in lines(document, page) if re.fullmatch(r"(\w{4}-){4}\w", line)] for page in range(3)
    ]
    assert found == [codes[:10], codes[10:20], codes[20:]]
    assert [lines(document, page)[0] for page in range(3)] == ["#42 1 / 3", "#42 2 / 3", "#42 3 / 3"]


@pytest.mark.parametrize("link", [LINK, f"https://{'long.' * 20}example/console/redeem/"])
def test_each_card_has_its_own_link_to_scan_at_least_22_mm_wide(link: str) -> None:
    codes = list(make_codes(10))

    image = draw(make_sheet(link=link), codes)[0].render(scale=SCALE).to_pil()
    scanned = read_qr_codes(image)

    assert sorted(symbol.text for symbol in scanned) == sorted(redeem_link(link, code) for code in codes)
    for symbol in scanned:
        width = symbol.position.top_right.x - symbol.position.top_left.x
        assert width / SCALE / POINTS_A_MM >= 22


def test_nothing_reaches_into_the_qr_code_or_over_the_edge_however_long_it_is() -> None:
    sheet = make_sheet(
        quota=2**53 - 1, uses_per_code=2**31 - 1, link=f"https://{'long.' * 20}example/redeem/"
    )

    page = draw(sheet, ["WWWW-WWWW-WWWW-WWWW-W"])[0]
    texts = page.get_textpage()
    boxes = [texts.get_rect(number) for number in range(texts.count_rects())]

    assert "$18,014,398,509.481982" in texts.get_text_range()
    left, right = (20 + 7) * POINTS_A_MM, (20 + 85 - 7) * POINTS_A_MM
    assert all(box[0] > left - 1 and box[2] < right + 1 for box in boxes)
    qr_left, qr_bottom = right - 25 * POINTS_A_MM, (297 - 13.5 - 7 - 25) * POINTS_A_MM
    beside_qr = [box for box in boxes if box[3] > qr_bottom]
    assert len(beside_qr) >= 3
    assert all(box[2] < qr_left - 4 * POINTS_A_MM for box in beside_qr)


def test_the_document_is_entitled_with_the_batchs_name() -> None:
    facts = draw(make_sheet(name="春 <A&B> (1)"), ["AAAA"]).get_metadata_dict()

    assert facts["Title"] == "春 <A&B> (1)"
    assert (facts["Author"], facts["Subject"], facts["Creator"]) == ("", "", "")


def test_more_codes_than_a_file_can_have_are_refused_before_anything_is_sent() -> None:
    write = FORMATS["pdf"].write
    write(make_sheet(), make_codes(MAX_PDF_CODES))

    with pytest.raises(TooManyForPdfError) as refusal, override("en"):
        write(make_sheet(), make_codes(MAX_PDF_CODES + 1))

    assert (refusal.value.code, refusal.value.http_status) == ("too_many_for_pdf", 422)
    assert refusal.value.full_text.startswith("A PDF has at most 5000 codes. Take them in several files")


def test_of_too_many_codes_no_more_are_read_than_it_takes_to_know() -> None:
    codes = make_codes(MAX_PDF_CODES + 100)

    with pytest.raises(TooManyForPdfError):
        FORMATS["pdf"].write(make_sheet(), codes)

    assert len(list(codes)) == 99
