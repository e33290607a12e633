"""A cache: keeps lines of "NAME VALUE", answers "NAME" with the value."""
import socketserver

values = {}


class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        name, _, value = self.rfile.readline().decode().strip().partition(" ")
        if value:
            values[name] = value
        self.wfile.write(f"{values.get(name, '')}\n".encode())


socketserver.TCPServer.allow_reuse_address = True
with socketserver.TCPServer(("", 6000), Answer) as server:
    try:
        print("takes connections", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        print("told to stop by SIGINT", flush=True)
