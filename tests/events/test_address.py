import socket

import pytest

from app.events.address import AddressRefused, Target, UrlRefused, check_url, checked_address, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 - an address to refuse, not to bind
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:7f00:1:0:0:5601:5601",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_of_the_public_internet_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_taken(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "ftp://shop.example/",
        "https://",
        "https:///hook",
        "https://user@shop.example/",
        "https://user:secret@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:99999/",
        "https://[::1",
        "https://shop.example/a b",
        "https://shop.example/\r\nHost: other",
        "https://b\u00fccher.example/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://shop.example/" + "x" * 2000,
        "javascript:alert(1)",
        "",
    ],
)
def test_a_url_that_can_only_go_wrong_is_refused_at_once(url: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        check_url(url, allow_private=False)
    assert refused.value.errors[0].field == "url"


def test_a_good_url_gives_its_host_and_port() -> None:
    assert check_url("https://shop.example/hook?x=1", allow_private=False) == Target("shop.example", 443)
    assert check_url("https://shop.example:8443/", allow_private=False) == Target("shop.example", 8443)
    assert check_url("http://127.0.0.1:9/", allow_private=True) == Target("127.0.0.1", 9)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "::1"])
def test_every_way_to_write_this_machine_is_refused_once_it_is_resolved(host: str) -> None:
    with pytest.raises(AddressRefused):
        checked_address(Target(host, 443), allow_private=False)


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[object]:
        return [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(AddressRefused):
        checked_address(Target("shop.example", 443), allow_private=False)


def test_a_name_that_does_not_resolve_is_refused_without_saying_more() -> None:
    with pytest.raises(AddressRefused, match="does not resolve"):
        checked_address(Target("nowhere.invalid", 443), allow_private=False)
