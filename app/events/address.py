"""Where a webhook may go: to public addresses only, whatever name, notation or tunnel hides another one.

The name is resolved once, every address it gives is checked, and the connection goes to a checked address, so a name
that answers differently the second time gains nothing.
"""

import ipaddress
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from app.errors import FieldError, InvalidInput

LONGEST_URL = 2000

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Not public, although not every Python says so: shared and special-purpose blocks, and addresses that mean
# something else inside a cloud (168.63.129.16 is Azure's).
_NEVER = tuple(
    ipaddress.ip_network(block)
    for block in (
        "100.64.0.0/10",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "64:ff9b:1::/48",
        "100::/64",
        "2001:2::/48",
        "2001:10::/28",
        "2001:20::/28",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)


class UrlRefused(InvalidInput):
    code = "url_refused"
    title = "Webhooks cannot be sent to this URL"


class AddressRefused(Exception):
    """The name leads where webhooks must not go, or nowhere; the text says which, without the address."""


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    port: int


def check_url(url: str, *, allow_private: bool) -> Target:
    """What can be told from the URL alone; UrlRefused with the reason. With `allow_private` plain HTTP is taken too."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise _refused("has a host or a port that is none") from None
    if len(url) > LONGEST_URL or not url.isascii() or any(character <= " " for character in url):
        raise _refused(f"must be ASCII without spaces, {LONGEST_URL} characters at most")
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise _refused("must begin with https://")
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused("must have a host, and neither a user, a password nor a fragment")
    if not allow_private and _is_private_literal(parts.hostname):
        raise _refused("must not name a private address")
    return Target(parts.hostname, port)


def checked_address(target: Target, *, allow_private: bool) -> str:
    """One address to connect to, after all of the name's addresses were checked; AddressRefused otherwise."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AddressRefused("The name of the host does not resolve") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not addresses:
        raise AddressRefused("The name of the host does not resolve")
    if not allow_private and not all(is_public(address) for address in addresses):
        raise AddressRefused("The host leads to an address that is not public")
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether the address is one of the public internet, looking through IPv4 addresses carried in IPv6 ones."""
    address = ipaddress.ip_address(text)
    if isinstance(address, IPv6Address):
        carried = _carried(address)
        if carried is not None:
            return is_public(str(carried))
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not any(address in block for block in _NEVER)
    )


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside a mapped, NAT64, 6to4 or Teredo one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def _is_private_literal(host: str) -> bool:
    if host.rstrip(".").casefold() == "localhost" or host.casefold().rstrip(".").endswith(".localhost"):
        return True
    try:
        return not is_public(host.partition("%")[0])
    except ValueError:
        return False


def _refused(reason: str) -> UrlRefused:
    return UrlRefused(f"The URL {reason}", errors=[FieldError("url", reason, "url_refused")])
