"""Which network addresses a user's URL may reach: the guard against server-side request forgery.

The rule is applied to the address a socket is about to connect to, not to the URL: so redirects, IP
literals in any notation and names that resolve differently the second time are covered alike.
"""

import asyncio
import errno
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_REFUSED: tuple[IPv4Network | IPv6Network, ...] = (
    IPv4Network("168.63.129.16/32"),  # Azure's host agent: hands out secrets, public by number only
    IPv4Network("192.0.0.0/24"),  # IETF protocols; Python knows it whole only since 3.11.10
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, deprecated by RFC 7526
    IPv6Network("2001::/23"),  # IETF protocols, among them Teredo
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("3fff::/20"),  # documentation, unknown to Python 3.11
)


class AddressError(OSError):
    """A connection to an address that users' URLs may not reach; `strerror` says which and why."""

    def __init__(self, address: str) -> None:
        self._text = f"address {address} is not public (FACE_IMPORT_FETCH_ALLOW)"
        super().__init__(errno.EACCES, self._text)

    def __str__(self) -> str:
        return self._text


class AddressGuard:
    """Lets through global unicast addresses, and the networks an operator allowed.

    Args:
        allow: networks in CIDR notation (setting `fetch_allow`).
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow = tuple(ip_network(network) for network in allow)

    def check(self, address: str) -> None:
        """Raise unless `address`, a resolved IPv4 or IPv6 address, may be connected to.

        Raises:
            AddressError: it may not.
        """
        ip = _unwrapped(ip_address(address))
        if not _is_public(ip) and not any(ip in network for network in self._allow):
            raise AddressError(address)

    async def check_host(self, host: str) -> None:
        """Raise if a host that a proxy is to connect to has an address that may not be, as far as this machine knows.

        A name without an address here may have one where the proxy is: what it leads to is the proxy's to refuse.

        Raises:
            AddressError: it has.
        """
        try:
            entries = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        for *_, address in entries:
            self.check(str(address[0]))

    def socket(self, addr_info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """Make the socket for one `getaddrinfo` entry, or refuse: aiohttp's `socket_factory`.

        Raises:
            AddressError: the entry's address may not be connected to.
        """
        family, type_, proto, _, address = addr_info
        self.check(str(address[0]))
        return socket.socket(family, type_, proto)


def _unwrapped(ip: Address) -> Address:
    """Return the IPv4 address that a mapped or NAT64 address leads to, else the address itself."""
    if not isinstance(ip, IPv6Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip


def _is_public(ip: Address) -> bool:
    if ip.is_multicast or ip.is_reserved or not ip.is_global:
        return False
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return not any(ip in network for network in _REFUSED)
