"""The family as a whole: every attribute is public, says what it does, and has its row where it deviates."""

from __future__ import annotations

import re

import pytest

import lane_kernel as lane
from lane_kernel.server import attributes
from lane_kernel.server.attributes import AnyAttribute, Decorator, Extraction

_NAMES = """
is_connect_method is_delete_method is_get_method is_head_method is_options_method is_patch_method is_post_method
is_put_method is_trace_method is_unknown_method methods is_http0_9_version is_http1_0_version is_http1_1_version
is_http1_1_or_higher_version is_http2_version is_http3_version is_http_version is_unknown_version is_ws_upgrade_type
is_h2c_upgrade_type is_tls_upgrade_type is_unknown_upgrade_type host reject_host referer reject_referer filter reject
response_status_code response_reason_phrase response_header response_body response_version clear_response_headers
request_body request_body_json try_get_request_body_json request_path request_version route_param try_get_route_param
route_params request_query try_get_request_query request_queries request_header try_get_request_header request_headers
request_cookie try_get_request_cookie request_cookies attribute try_get_attribute attributes task_panic_data
try_get_task_panic_data request_error_data try_get_request_error_data try_get_http_request try_get_websocket_request
send try_send flush try_flush closed prologue_hooks epilogue_hooks prologue_macros epilogue_macros
"""
FAMILY = _NAMES.split()


@pytest.mark.parametrize("name", FAMILY)
def test_each_is_public_and_says_what_it_does(name: str) -> None:
    value = getattr(lane, name)
    assert value is getattr(attributes, name)
    assert name in attributes.__all__
    said = value.__doc__
    assert said
    assert said not in {kind.__doc__ for kind in (AnyAttribute, Decorator, Extraction)}
    if isinstance(value, AnyAttribute):
        assert (value.name, repr(value)) == (name, f"@lane.{name}")


def test_nothing_else_is_in_the_family() -> None:
    others = {"AnyAttribute", "Attribute", "AttributeUseError", "Decorator", "Extraction", "ExtractionError"}
    others |= {"attributes_of", "check_filled", "check_route_params", "mark_taken", "refuse_attributes"}
    others |= {"refuse_uncalled"}
    assert set(attributes.__all__) == set(FAMILY) | others


def test_the_table_of_deviations_names_attributes_that_there_are() -> None:
    rows = re.findall(r"^\| (.+) \|$", attributes.__doc__ or "", re.MULTILINE)
    cells = [row.split(" | ") for row in rows]
    assert cells[0] == ["Attribute", "Hyperlane's code", "Here", "Why"]
    assert len(cells) > 15
    for row in cells[2:]:
        assert len(row) == 4, row
        for name in re.findall(r"`(\w+)`", row[2]):
            assert name in [*FAMILY, "ctx", "ExtractionError"], row
