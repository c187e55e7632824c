"""The embedded face info and face library services: real models behind the wire format production uses."""
