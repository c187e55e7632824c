"""Everything that speaks HTTP to the outside: image hosts, the info service, the library service."""
