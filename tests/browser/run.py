"""Starts the demo, walks its dashboard in a headless Chromium, and stops it again.

usage: run.py COUNTERFOIL_BINARY FOLDER_WITH_NODE_MODULES PICTURES_FOLDER
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures" / "invoices"
SCHEMAS = HERE.parent / "schemas"
# A debug build on a busy machine takes its time over a month of 20,000 requests.
READY_WITHIN_S = 600


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Demo:
    """The demo's process; its printed words are kept, and echoed if it fails."""

    def __init__(self, binary, data, port):
        self.said = {}
        self.lines = []
        self.ready = threading.Event()
        self.told = threading.Event()
        self.process = subprocess.Popen(
            [binary, "demo", "--data", str(data), "--dashboard-listen", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
            stderr=(data.parent / "progress").open("wb"),
            text=True,
        )
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.lines.append(line)
            name, _, rest = line.strip().partition(" ")
            self.said.setdefault(name, rest.strip())
            if name == "Next":
                self.ready.set()
            elif self.ready.is_set() and not line.strip():
                self.told.set()
        self.ready.set()
        self.told.set()

    def next_command(self):
        """What it printed to be typed next: the lines from `Next` to the empty one, as one."""
        self.told.wait(10)
        start = next(at for at, line in enumerate(self.lines) if line.startswith("Next"))
        words = [self.lines[start].removeprefix("Next").strip()]
        for line in self.lines[start + 1 :]:
            if not line.strip():
                break
            words.append(line.strip())
        return "\n".join(words)

    def wait(self):
        self.ready.wait(READY_WITHIN_S)
        if "Explained" not in self.said:
            sys.stdout.writelines(self.lines)
            raise SystemExit(f"the demo was not ready within {READY_WITHIN_S} s, or ended")
        return self.said["Dashboard"], self.said["Explained"]


def stop(process):
    """Ends a process of ours as Ctrl-C would; its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise SystemExit(f"{process.args[1]} did not stop within 60 s of SIGINT")
    return process.returncode


def serve_empty(binary, folder, port):
    """A gateway nobody has used yet: what a person sees first."""
    return subprocess.Popen(
        [
            binary,
            "serve",
            *("--data", str(folder / "empty")),
            *("--listen", f"127.0.0.1:{free_port()}"),
            *("--dashboard-listen", f"127.0.0.1:{port}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "serve").open("wb"),
    )


def main():
    binary, node_folder, pictures = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    pictures.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-browser-"))
    empty_port = free_port()
    empty = serve_empty(binary, folder, empty_port)
    demo = Demo(binary, folder / "data", free_port())
    try:
        dashboard, explained = demo.wait()
        # Node resolves packages from the script's own folder.
        script = node_folder / "dashboard.mjs"
        shutil.copyfile(HERE / "dashboard.mjs", script)
        environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        environment.update(
            DASHBOARD=dashboard.rstrip("/"),
            EXPLAINED=explained,
            EMPTY=f"http://127.0.0.1:{empty_port}",
            EXPORTS=str(folder / "data" / "exports"),
            FIXTURES=str(FIXTURES),
            SCHEMAS=str(SCHEMAS),
            NEXT=demo.next_command(),
            PICTURES=str(pictures.resolve()),
        )
        walked = subprocess.run(["node", str(script)], cwd=node_folder, env=environment)
        stopped = stop(demo.process)
    finally:
        for process in (demo.process, empty):
            stop(process)
        shutil.rmtree(folder, ignore_errors=True)
    if walked.returncode:
        raise SystemExit("failed: the walk through the dashboard")
    if stopped:
        raise SystemExit(f"failed: an orderly stop of the demo (exit code {stopped})")


if __name__ == "__main__":
    main()
