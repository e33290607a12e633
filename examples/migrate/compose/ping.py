"""Succeeds where the cache answers."""
import socket

with socket.create_connection(("127.0.0.1", 6000), timeout=1) as connection:
    connection.sendall(b"ping pong\n")
    assert connection.recv(5) == b"pong\n"
