"""A program that waits in one way until SIGTERM, and then says that all is well.

It has never heard of the agent. `ready` is said before it begins to wait.
"""

import _thread
import asyncio
import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import os
import select
import signal
import socket
import sys
import tempfile
import time


def work(n):
    return n + 1


def end(number, frame):
    raise SystemExit(0)


def say(text):
    os.write(1, text.encode() + b"\n")


def sleep():
    while True:
        work(1)
        time.sleep(0.05)


def sleep_long():
    time.sleep(3600)


def wait_for_lock():
    lock = _thread.allocate_lock()
    lock.acquire()
    lock.acquire()


def wait_with_select():
    select.select([os.pipe()[0]], [], [])


def wait_with_poll():
    poller = select.poll()
    poller.register(os.pipe()[0], select.POLLIN)
    poller.poll(3_600_000)


def wait_with_epoll():
    poller = select.epoll()
    poller.register(os.pipe()[0], select.EPOLLIN)
    poller.poll()


def read():
    os.read(os.pipe()[0], 1)


def accept():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.accept()


def wait_for_file_lock():
    _wait_for_file_lock(fcntl.flock)


def wait_for_record_lock():
    _wait_for_file_lock(fcntl.lockf)


def _wait_for_file_lock(lock):
    with tempfile.NamedTemporaryFile() as file:
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            with open(file.name, "w") as held:
                lock(held, fcntl.LOCK_EX)
                os.write(theirs, b"x")
                time.sleep(3600)
        os.read(ours, 1)
        try:
            lock(file, fcntl.LOCK_EX)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def write():
    """Into a pipe that is full, until somebody reads all of it."""
    ours, theirs = os.pipe()
    size = 1_000_000

    def drain():
        sys.stdin.read(1)
        left = size
        while left:
            left -= len(os.read(ours, left))

    reader = os.fork()
    if not reader:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        drain()
        os._exit(0)
    written = os.write(theirs, bytes(size))
    say(f"{written} of {size} written")
    os.waitpid(reader, 0)
    sleep()


def wait_for_child():
    child = os.fork()
    if not child:
        os.execvp("sleep", ["sleep", "3600"])
    try:
        os.waitpid(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def idle_loop():
    asyncio.run(asyncio.Event().wait())


def four_busy_threads():
    for _ in range(4):
        _thread.start_new_thread(compute, ())
    time.sleep(3600)


def compute():
    while True:
        work(1)
        hashlib.md5(b"x" * 500).hexdigest()


def call_c():
    """One C call that holds the interpreter lock, until a byte comes."""
    buffer = ctypes.create_string_buffer(1)
    ctypes.PyDLL(None).read(0, buffer, 1)
    time.sleep(3600)


def in_atexit():
    atexit.register(sleep_in_callback)


def sleep_in_callback():
    with contextlib.suppress(SystemExit):
        time.sleep(3600)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    atexit.register(say, "well")
    say("ready")
    globals()[sys.argv[1]]()
