"""The address rule, as a table."""

import pytest

from face_import.clients.addresses import AddressError, AddressGuard

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
REFUSED = [
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::8.8.8.8",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "100::1",
    "2001:0:808:808::1",
    "2001:db8::1",
    "2001:20::1",
    "3fff::1",
    "5f00::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    """A global unicast address needs no permission, also where it is embedded."""
    AddressGuard().check(address)


@pytest.mark.parametrize("address", REFUSED)
def test_everything_else_is_refused(address: str) -> None:
    """Whatever is not global unicast is refused, and the text names the address and the setting."""
    with pytest.raises(AddressError, match="FACE_IMPORT_FETCH_ALLOW") as refused:
        AddressGuard().check(address)
    assert address in str(refused.value)


@pytest.mark.parametrize(
    ("allow", "address", "passes"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "64:ff9b::a01:203", True),
        ("10.0.0.0/8", "192.168.1.1", False),
        ("10.0.0.5/32", "10.0.0.6", False),
        ("fd00::/8", "fd12::1", True),
        ("::/0", "127.0.0.1", False),
    ],
)
def test_allowed_networks_pass(allow: str, address: str, *, passes: bool) -> None:
    """An operator's networks pass, judged by the address that is really reached."""
    guard = AddressGuard([allow])
    if passes:
        guard.check(address)
    else:
        with pytest.raises(AddressError):
            guard.check(address)
