"""The smallest shadow there is: started by the process runtime in a few milliseconds, so that the start is ours.

Run as a file with `python -I -S`: it imports nothing but what the interpreter has in itself, and no site-packages.
"""

import select
import socket
import sys

BODY = b'{"id": 1, "name": "a lamp of brass", "price": 19.5}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


def serve(port: int) -> None:
    """Answer each request on each connection, until killed."""
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener, select.epoll() as poll:
        connections = {}
        poll.register(listener, select.EPOLLIN)
        while True:
            for number, _ in poll.poll():
                if number == listener.fileno():
                    connection, _ = listener.accept()
                    connections[connection.fileno()] = connection
                    poll.register(connection, select.EPOLLIN)
                    continue
                try:
                    data = connections[number].recv(65536)
                except OSError:
                    data = b""
                if data:
                    # A copy's head fits one read.
                    connections[number].sendall(ANSWER)
                else:
                    poll.unregister(number)
                    connections.pop(number).close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
