"""Starts the sandbox provider and the gateway, runs the official SDKs through it, verifies the books.

usage: run.py COUNTERFOIL_BINARY FOLDER_WITH_NODE_MODULES
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server stopped with {process.returncode} before it listened")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.2):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on 127.0.0.1:{port} after {seconds} s")


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise SystemExit("the server did not stop within 30 s of SIGTERM")
    return process.returncode


def main():
    binary, node_folder = sys.argv[1], Path(sys.argv[2])
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-sdk-"))
    sandbox_port, proxy_port, dashboard_port = free_port(), free_port(), free_port()
    config = folder / "counterfoil.toml"
    config.write_text(
        f'listen = "127.0.0.1:{proxy_port}"\n'
        f'dashboard_listen = "127.0.0.1:{dashboard_port}"\n'
        f'[providers.openai]\nbase_url = "http://127.0.0.1:{sandbox_port}"\n'
        f'[providers.anthropic]\nbase_url = "http://127.0.0.1:{sandbox_port}"\n'
    )
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    environment.update(
        SDK_PROXY=f"http://127.0.0.1:{proxy_port}",
        SDK_DASHBOARD=f"http://127.0.0.1:{dashboard_port}",
        PYTHONPATH=str(HERE),
    )
    sandbox = subprocess.Popen([binary, "sandbox", "--listen", f"127.0.0.1:{sandbox_port}"])
    serve = None
    failed = []
    try:
        wait_for(sandbox_port, sandbox)
        data = folder / "data"
        serve = subprocess.Popen([binary, "serve", "--config", str(config), "--data", str(data)])
        wait_for(proxy_port, serve)
        wait_for(dashboard_port, serve)
        python = subprocess.run(
            [sys.executable, "-m", "unittest", "-v", "test_sdks"], cwd=HERE, env=environment
        )
        if python.returncode:
            failed.append("the Python SDKs")
        # Node resolves packages from the script's own folder.
        script = node_folder / "sdks.test.mjs"
        shutil.copyfile(HERE / "sdks.test.mjs", script)
        node = subprocess.run(["node", "--test", str(script)], cwd=node_folder, env=environment)
        if node.returncode:
            failed.append("the Node SDKs")
        if stop(serve):
            failed.append(f"an orderly stop (exit code {serve.returncode})")
        verify = subprocess.run(
            [binary, "verify", "--data", str(data), "--json"], capture_output=True, text=True
        )
        print("verify:", verify.stdout.strip()[:600])
        if verify.returncode:
            failed.append("verify")
        else:
            books = json.loads(verify.stdout)
            if books["orphans"] or not books["rollups_equal"] or books["problems"]:
                failed.append("verify's findings")
    finally:
        for process in (serve, sandbox):
            if process is not None:
                stop(process)
        shutil.rmtree(folder, ignore_errors=True)
    if failed:
        raise SystemExit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
