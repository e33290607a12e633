"""Answers every connection."""
import socketserver


class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"hello\n")


socketserver.TCPServer.allow_reuse_address = True
with socketserver.TCPServer(("127.0.0.1", 7000), Answer) as server:
    print("takes connections", flush=True)
    server.serve_forever()
