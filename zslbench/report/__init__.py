"""Tables and figures; nothing here runs anything."""
