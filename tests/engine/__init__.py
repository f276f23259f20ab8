"""Tables that answer."""
