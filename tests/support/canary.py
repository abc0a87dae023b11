"""No credential may show up in what a gateway says (T18). While a run of the suite has a folder for it (SLUICE_CANARIES), every
token, key and password that the tests make or send is written down there, and so is all that gateways have said: logs, metrics,
admin answers, refusals, what a crash left behind. When everything has run, `canary.py check` looks for the one in the other.

    canary.py start FOLDER    an empty folder
    canary.py check FOLDER    fails when a credential stands where none may, or when it could not find one that was put there

Clients of other languages take their tokens from here (tokens.mint) and need do nothing."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from typing import Iterable, List

RUN = os.environ.get("SLUICE_CANARIES", "")
KNOWN, SAID = "known", "said"
# A part of this many octets is enough to give one away, and more than what logs say in other ways.
SHORTEST, PART = 16, 24
# Fields whose values are credentials, whoever sends them.
FIELDS = {"authorization", "proxy-authorization", "x-api-key", "x-token"}
PARAMETERS = {"access_token", "token", "ticket", "api_key"}
MOST_OF_AN_ANSWER = 64 * 1024


def _append(folder: str, text: bytes) -> None:
    """One file for each process: nobody waits for anybody."""
    with open(Path(RUN) / folder / f"{os.getpid()}.txt", "ab") as file:
        file.write(text + b"\n")


def parts(credential: str) -> Iterable[str]:
    """What of it may be looked for: not what is short, nor one sign many times. Parts of a token are credentials each, but for its
    header, which says nothing that is secret."""
    words = re.split(r"[^A-Za-z0-9_+/-]+", credential)
    if credential.count(".") == 2 and len(words) == 3:
        words = words[1:]
    for word in words:
        if len(word) >= SHORTEST and len(set(word[:PART])) > 6:
            # The end too: a payload begins as any other does.
            yield word[:PART]
            yield word[-PART:]


def note(credential: str) -> str:
    """A credential that a test makes or uses. It comes back, so that it may be noted where it is made."""
    if RUN:
        found = "\n".join(dict.fromkeys(parts(credential)))
        if found:
            _append(KNOWN, found.encode())
    return credential


def sent(fields: Iterable, target: str = "") -> None:
    """Fields and target of a request that a test sends."""
    if RUN:
        for name, value in urllib.parse.parse_qsl(target.partition("?")[2]):
            if name in PARAMETERS:
                note(value)
        for name, value in fields:
            if name.lower() in FIELDS:
                note(value.partition(" ")[2] or value)


def said(answer: bytes) -> None:
    """What a gateway has answered by itself."""
    if RUN:
        _append(SAID, answer[:MOST_OF_AN_ANSWER])


def keep(folder: Path) -> None:
    """The files of a gateway that has ended: its secrets are credentials, its logs are what it has said."""
    if not RUN:
        return
    for secret in [*folder.glob("*.secret"), *folder.glob("*.token"), *folder.glob("*.key")]:
        for line in secret.read_text(errors="replace").splitlines():
            if not line.startswith("-----"):
                note(line)
    for file in [*folder.glob("*.log*"), *folder.glob("core*")]:
        if file.is_file():
            with tempfile.NamedTemporaryFile(dir=Path(RUN) / SAID, prefix=f"{folder.name}-{file.name}-", delete=False) as copy:
                pass
            os.unlink(copy.name)
            try:
                os.link(file, copy.name)
            except OSError:  # another file system
                shutil.copyfile(file, copy.name)


# ---- after everything
def start(run: Path) -> int:
    shutil.rmtree(run, ignore_errors=True)
    for name in (KNOWN, SAID):
        (run / name).mkdir(parents=True)
    return 0


def known(run: Path) -> List[str]:
    return sorted({line for file in (run / KNOWN).iterdir() for line in file.read_text().split("\n") if line})


def hits(credentials: List[str], folder: Path) -> List[str]:
    """file:offset:credential of the first that are found there."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as patterns:
        patterns.write("\n".join(credentials) + "\n")
        patterns.flush()
        done = subprocess.run(["grep", "-r", "-a", "-o", "-b", "-m", "3", "-F", "-f", patterns.name, str(folder)], capture_output=True, text=True,
                              errors="replace")
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def check(run: Path) -> int:
    credentials, said_files = known(run), [file for file in (run / SAID).iterdir() if file.stat().st_size]
    octets = sum(file.stat().st_size for file in said_files)
    print(f"{len(credentials)} parts of credentials, {octets} octets in {len(said_files)} files")
    if not credentials or not said_files:
        print("nothing was written down: what ran before this?")
        return 1
    with tempfile.TemporaryDirectory() as planted:
        for number, credential in enumerate((credentials[0], credentials[-1])):
            Path(planted, f"{number}.log").write_text('{"event":"x"}\n' * 50_000 + f'{{"path":"/chat?access_token={credential}"}}\n')
        if len(hits(credentials, Path(planted))) < 2:
            print("a credential that was planted was not found")
            return 1
    found = hits(credentials, run / SAID)
    for line in found[:20]:
        print(f"LEAKED {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit({"start": start, "check": check}[sys.argv[1]](Path(sys.argv[2])))
