"""Downloads a file and prints it."""

import http.client
import sys

try:
    connection = http.client.HTTPConnection("server", 8080, timeout=1.5)
    connection.request("GET", "/file")
    response = connection.getresponse()
    body = b""
    while chunk := response.read(1024):
        body += chunk
    if len(body) != int(response.headers["Content-Length"]):
        raise http.client.IncompleteRead(body)
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"download: {error}")
sys.stdout.buffer.write(body)
