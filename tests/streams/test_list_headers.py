"""The headers of a list are those of a CloudEvent in binary mode."""

import re

from streams.list_headers import ListHeaders

TRACE = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)


def test_a_list_has_every_required_attribute_of_a_cloud_event_and_its_time() -> None:
    headers = dict(ListHeaders("shop").of("rec-1", "2026-01-31T12:00:00.123Z", ()))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"rec-1",
        "ce_source": b"/freshrec/shop",
        "ce_type": b"freshrec.recommendation.v1",
        "ce_time": b"2026-01-31T12:00:00.123Z",
        "content-type": b"application/json",
    }


def test_the_trace_of_the_click_stands_beside_them() -> None:
    headers = ListHeaders("shop")
    plain, traced = (headers.of("rec-1", "2026-01-31T12:00:00Z", trace) for trace in ((), TRACE))
    assert traced == [*plain, *TRACE]


def test_a_source_is_a_uri_reference_whatever_the_group_is_called() -> None:
    source = dict(ListHeaders("my shop/ä#1").of("rec-1", "", ()))["ce_source"].decode()
    assert re.fullmatch(r"/freshrec/[\w.~%-]+", source, re.ASCII)
