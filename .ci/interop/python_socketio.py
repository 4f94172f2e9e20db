"""A device that is python-socketio, told what to do by lines of JSON on standard input; see lib/child.mjs."""

import json
import sys
import threading

import socketio

TRANSPORTS = {"default": None, "polling": ["polling"], "websocket": ["websocket"]}
CONNECT_SECONDS = 10

_printing = threading.Lock()


def say(**line):
    """One line, whole, whichever of the client's threads says it."""
    with _printing:
        print(json.dumps(line), flush=True)


def main(url, mode):
    auth = json.loads(sys.stdin.readline())
    client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5, randomization_factor=0.05)
    client.on("connect", lambda: say(state="connected", transport=client.transport()))
    client.on("disconnect", lambda reason: say(state="disconnected", reason=reason))
    client.on("connect_error", lambda error: say(state="refused", reason=json.dumps(error)))
    client.on("*", lambda event, data=None: say(event=event, data=data))
    try:
        client.connect(url, auth=auth, transports=TRANSPORTS[mode], wait_timeout=CONNECT_SECONDS)
    except socketio.exceptions.ConnectionError as error:
        sys.exit(f"cannot connect: {error}")
    for line in sys.stdin:
        command = json.loads(line)
        if "emit" in command:
            number = command["ack"]
            client.emit(
                command["emit"],
                command["data"],
                callback=lambda answer, number=number: say(ack=number, data=answer),
            )
        elif "close" in command:
            client.disconnect()
            break


main(*sys.argv[1:])
