"""Serve the page and the REST interface."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import os
import socket
import sys
import tempfile
from typing import TYPE_CHECKING

from ...command_line import BAD_INPUT, exit_on_sigterm
from ...fileio import printable_lines
from ...web.limits import Limits

if TYPE_CHECKING:
    from ...web.service import Service

HOST = '127.0.0.1'
GRACE = 3  # seconds that open pages get at the end


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl+C; return the exit status."""
    if importlib.util.find_spec('gradio') is None:
        raise ImportError("mmovseg serve needs gradio: pip install 'mmovseg[web]'.")
    try:
        listener = listen(args.port)
        service = make_service(args)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(f'error: {printable_lines(str(error))}', file=sys.stderr)
        return BAD_INPUT
    # By a signal, but not before the temporary folder is deleted.
    with (
        exit_on_sigterm(),
        listener,
        tempfile.TemporaryDirectory(prefix='mmovseg-web-') as scratch,
    ):
        # Read when gradio is imported: what is sent to the page goes there.
        os.environ['GRADIO_TEMP_DIR'] = scratch
        os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
        import uvicorn

        from ...web.app import make_app

        app = make_app(service, classes=args.classes)
        url = f'http://{HOST}:{listener.getsockname()[1]}'
        print(f'Open {url} in a browser. Ctrl+C ends it.', flush=True)
        config = uvicorn.Config(
            app, log_level='warning', timeout_graceful_shutdown=GRACE
        )
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def listen(port: int) -> socket.socket:
    """Open a port of this machine, before anything slow.

    Raises:
        OSError: If it is in use or cannot be had; the message says what to do.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == 'posix':  # elsewhere it would let two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = 'is in use' if error.errno == errno.EADDRINUSE else 'cannot be had'
        raise OSError(
            f'Port {port} {reason} ({error.strerror}): take another with --port, or '
            '--port 0 for a free one.'
        ) from error
    return listener


def make_service(args: argparse.Namespace) -> Service:
    """Load the model; return the service."""
    from ...apis import zoo
    from ...web.service import Service
    from .models import load_model

    limits = Limits(
        max_pixels=round(args.max_megapixels * 1e6),
        max_bytes=round(args.max_megabytes * 1e6),
        max_names=args.max_names,
        timeout=args.timeout,
    )
    inferencer = load_model(args, show_progress=False)
    known = zoo.find_model(str(args.model))
    return Service(
        inferencer,
        limits,
        min_area=args.min_area,
        name=str(args.model),
        license='' if known is None else known.license,
    )
