"""The command that serves models over HTTP."""

import argparse
import ipaddress
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

from machamp_lite.acceleration.allocator import limit_onednn_primitives
from machamp_lite.acceleration.garbage_collection import freeze_objects
from machamp_lite.cli.arguments import LARGEST_NUMBER
from machamp_lite.cli.device import HELP as DEVICE_HELP
from machamp_lite.cli.device import choose_device, parse_device
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.cli.process import handling_signals
from machamp_lite.errors import ConfigError, check_empty_names, missing_packages_line, one_line
from machamp_lite.serving.limits import Limits

logger = logging.getLogger("machamp_lite")

REQUIRED = ("starlette", "uvicorn", "httptools", "jinja2")
# Shorter ones could be guessed.
MIN_TOKEN = 16
MAX_WORKERS = 256
_LIMITS = {
    "max_batch": "sentences of waiting requests that are predicted together",
    "max_wait_ms": "how long a batch waits at most for more requests, in milliseconds",
    "max_queue": "sentences that wait per model; further requests are refused",
    "max_bytes": "bytes of the body of a request",
    "max_sentences": "sentences per request",
    "max_words": "words per request",
    "max_connections": "open connections",
    "timeout": "seconds for a request to arrive, and again for its prediction",
}


def serve(arguments: Sequence[str] | None = None, *, prog: str = "serve") -> int:
    """The serve command; returns its exit code."""
    return run_command(lambda: _serve(_flags(arguments, prog)))


def serve_parser(prog: str) -> Parser:
    """The arguments of the serve command."""
    parser = Parser(
        prog=prog,
        description="Serves models over HTTP, with a page to try them. Requests of several clients are predicted "
        "together.",
        removed={},
        examples=[
            "runs/treebank",
            "runs/treebank runs/intents --port 9000 --device 0 --max_batch 64",
            "runs/treebank --host 0.0.0.0 --token MACHAMP_LITE_TOKEN",
        ],
    )
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help="run folders, model folders, groups of runs or names on the hub")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="the address (default: 127.0.0.1, this machine only)")
    add("--port", type=int, default=8000, metavar="N", help="the port; 0 is any free one (default: 8000)")
    add(
        "--token",
        metavar="NAME",
        help="a file or an environment variable with a secret that requests must have (default: none)",
    )
    add("--cors", action="append", default=[], metavar="ORIGIN", help="a site whose pages may send requests, such as "
        "https://example.org, or * for all; may be repeated (default: none)")  # fmt: skip
    defaults = Limits()
    for name, text in _LIMITS.items():
        default = getattr(defaults, name)
        shown = str(default).removesuffix(".0")
        add(f"--{name}", type=type(default), default=default, metavar="N", help=f"{text} (default: {shown})")
    add(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that predict, each on one core; with 1 the server itself predicts, on all cores (default: 1)",
    )
    add("--device", type=parse_device, metavar="DEVICE", help=DEVICE_HELP)
    return parser


def _flags(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    flags = serve_parser(prog).read(arguments)
    check_empty_names({"--host": flags.host, "--token": flags.token})
    faults = []
    if not 0 <= flags.port < 2**16:
        faults.append(f"--port: found {flags.port}, expected a number from 0 to {2**16 - 1}")
    for name in _LIMITS:
        # Without waiting, a batch has the requests that are there.
        value, least = getattr(flags, name), 0 if name == "max_wait_ms" else 1
        if not least <= value <= LARGEST_NUMBER:
            faults.append(f"--{name}: found {value:g}, expected a number from {least} to {LARGEST_NUMBER}")
    if not 1 <= flags.workers <= MAX_WORKERS:
        faults.append(f"--workers: found {flags.workers}, expected a number from 1 to {MAX_WORKERS}")
    elif flags.workers > 1 and sys.platform != "linux":
        faults.append(f"--workers: found {flags.workers}, expected 1: more of them need Linux")
    if flags.max_queue < flags.max_sentences:
        faults.append(
            f"--max_queue: found {flags.max_queue}, expected at least --max_sentences ({flags.max_sentences}), so that "
            "a request can wait"
        )
    faults += [
        f"--cors: found '{origin}', expected * or an address without a path, such as https://example.org"
        for origin in flags.cors
        if origin != "*" and (not origin.startswith(("http://", "https://")) or origin.count("/") != 2)
    ]
    if faults:
        raise ConfigError(faults)
    flags.secret = None if flags.token is None else _read_token(flags.token)
    return flags


def _read_token(name: str) -> str:
    """The token in an environment variable or a file."""
    if name in os.environ:
        token = os.environ[name].strip()
    elif Path(name).is_file():
        token = Path(name).read_text(encoding="utf-8", errors="replace").strip()
    else:
        raise ConfigError(f"--token: found neither a file nor an environment variable '{name}', expected one of them")
    if len(token) < MIN_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(
            f"--token: {name} has {len(token)} characters, expected at least {MIN_TOKEN}, of ASCII without spaces; for "
            "example from: openssl rand -hex 16"
        )
    return token


def _serve(flags: argparse.Namespace) -> int:
    # As in prediction; a thousand take a hundred megabytes.
    limit_onednn_primitives(64)
    # Requests are not logged; faults of the server are, because it goes on.
    set_up_logging(logging.WARNING, shows_errors=True)
    if missing := [name for name in REQUIRED if find_spec(name) is None]:
        raise ConfigError(missing_packages_line("serve", missing, extra="serve"))
    from machamp_lite.model.find_models import find_models
    from machamp_lite.serving import server

    # Before torch is imported and models are loaded, which takes seconds.
    with server.bind(flags.host, flags.port) as bound:
        folders = {path: find_models(path).folder for path in flags.models}
        from machamp_lite.api.loading import load
        from machamp_lite.serving.app import PredictionServer
        from machamp_lite.serving.served_model import ServedModel, model_names

        if flags.secret is None and not _is_loopback(bound.getsockname()[0]):
            logger.warning(
                "--host: everyone who reaches %s may send requests; --token asks for a secret", one_line(flags.host)
            )
        limits = Limits(**{field.name: getattr(flags, field.name) for field in fields(Limits)})
        names, device = model_names(flags.models), choose_device(flags.device)
        if flags.workers > 1 and device != "cpu":
            raise ConfigError(f"--workers: found {flags.workers}, expected 1, or --device cpu: a GPU has one process")
        models = [ServedModel(name, load(folders[path], device=device)) for name, path in names.items()]
        freeze_objects()
        prediction_server = PredictionServer(
            models, limits=limits, token=flags.secret, origins=flags.cors, workers=flags.workers
        )
        host, port, *_ = bound.getsockname()
        line = f"serving {', '.join(map(one_line, names))} at http://{_in_url(host)}:{port}"
        server.run(
            prediction_server.app(),
            bound,
            limits=limits,
            signals=handling_signals,
            on_start=lambda: print(line, flush=True),
        )
    return 0


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
