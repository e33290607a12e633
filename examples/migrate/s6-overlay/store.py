"""A store. Takes a moment to load, then says on descriptor 3 that it is ready, as s6 wants it."""
import os
import socketserver
import time


class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"stored\n")


# Refuses to start where another one runs, or has not been cleaned up after.
open("/run/store/lock", "x").close()
socketserver.TCPServer.allow_reuse_address = True
with socketserver.TCPServer(("127.0.0.1", 7000), Answer) as server:
    try:
        time.sleep(0.5)
        print("loaded", flush=True)
        os.write(3, b"\n")
        os.close(3)
        server.serve_forever()
    except KeyboardInterrupt:
        print("saved", flush=True)
