"""HTTP/1.1 on a socket: framing, bounds, deadlines, shutdown. Knows no route."""
