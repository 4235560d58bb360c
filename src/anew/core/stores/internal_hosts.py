"""Hosts of this computer and of the networks behind it, which a stranger's server must not send a reader to."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    AddressInfo = tuple[int, int, int, str, tuple[str | int, ...]]  # an entry of `socket.getaddrinfo`

# IPv6 addresses with these prefixes end with an IPv4 address: those of NAT64 gateways (RFC 6052), and IPv4-compatible ones
NAT64, COMPATIBLE = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")


class InternalAddressError(OSError):
    """A public address led to one that is not."""


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach a server that listens on this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_internal(address: str) -> bool:
    """Whether an IP address is not public: loopback, private, link-local (where clouds keep their credentials), reserved."""
    place = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(place, ipaddress.IPv6Address):
        embedded = _embedded(place)
        if embedded is not None:
            return is_internal(str(embedded))
        if place.is_site_local:
            return True
    return not place.is_global or place.is_multicast


def _embedded(place: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in an IPv6 one, to which a gateway or this machine goes on; None without one."""
    if place in NAT64 or (place in COMPATIBLE and int(place) > 1):  # ::1 is this machine
        return ipaddress.IPv4Address(int(place) & 0xFFFFFFFF)
    return place.ipv4_mapped or place.sixtofour


def names_internal(url: str) -> bool:
    """Whether the host of a URL has internal addresses alone, so that its user means them. False where it is not known."""
    try:
        parts = urlsplit(url)
        answers = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return False
    return all(is_internal(str(info[4][0])) for info in answers)


def public_socket(info: AddressInfo) -> socket.socket:
    """A socket for an address that is about to be connected to, whatever name or redirect led there.

    Raises:
        InternalAddressError: The address is internal.
    """
    family, socket_type, protocol, _, place = info
    if is_internal(str(place[0])):
        raise InternalAddressError(
            f"it leads to {place[0]}, an address inside this network; name that address itself if you trust it"
        )
    return socket.socket(family, socket_type, protocol)


def internal_cause(error: BaseException | None) -> InternalAddressError | None:
    """The internal address that an error comes of, if it does; clients wrap errors in their own."""
    while error is not None and not isinstance(error, InternalAddressError):
        error = getattr(error, "os_error", None) or error.__cause__
    return error
