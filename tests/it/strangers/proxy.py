"""A proxy that repeats a request when its connection to the service dies, and that passes on half of each 409.

Arguments: the URL of the service. Standard library only.
"""
import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

service = urlsplit(sys.argv[1]).netloc


class Proxy(BaseHTTPRequestHandler):
    def forward(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        for _ in range(2):
            connection = http.client.HTTPConnection(service, timeout=10)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                return self.pass_on(answer, answer.read())
            except (OSError, http.client.HTTPException):
                connection.close()
        self.send_error(502)

    def pass_on(self, answer, body):
        self.send_response(answer.status)
        for name in ("content-type", "retry-after"):
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body[:11] if answer.status == 409 else body)
        self.close_connection = True

    do_GET = do_POST = forward

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
