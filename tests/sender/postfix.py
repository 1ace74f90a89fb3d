"""A real Postfix in a folder of its own: takes mails on a high port, and discards them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from dev.ports import free_port, is_open
from tests.sender.smtpd import certificate

PROGRAM: Final = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
#: Its master gives its children other users.
RUNS: Final = PROGRAM is not None and os.geteuid() == 0
DAEMONS: Final = "/usr/lib/postfix/sbin"

MAIN: Final = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example
mydestination =
enable_long_queue_ids = yes
mynetworks =
default_transport = discard
alias_maps =
smtpd_tls_cert_file = {folder}/certificate.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions =
    check_recipient_access inline:{{
        {{ nobody@example.com = 550 5.1.1 unknown }}
        {{ busy@example.com = 451 4.3.0 later }} }}
    permit
smtpd_forbid_bare_newline = yes
smtpd_forbid_unauth_pipelining = yes
"""
MASTER: Final = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Postfix:
    """One that runs."""

    port: int
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@asynccontextmanager
async def postfix() -> AsyncIterator[Postfix]:
    """Run one; its user is `cinema`, the password `secret`."""
    with TemporaryDirectory(prefix="postfix-") as name:
        folder, port = Path(name), free_port()
        _prepare(folder, port)
        auth = await asyncio.start_unix_server(_auth, folder / "auth")
        os.chmod(folder / "auth", 0o666)
        assert PROGRAM is not None
        try:
            _run(PROGRAM, folder, "start")
            try:
                async with asyncio.timeout(20):
                    while not await is_open(port):
                        await asyncio.sleep(0.05)
                yield Postfix(port, folder)
            finally:
                _run(PROGRAM, folder, "abort")
        finally:
            auth.close()


def _prepare(folder: Path, port: int) -> None:
    folder.chmod(0o755)
    certificate(folder)
    (folder / "key.pem").chmod(0o600)
    (folder / "main.cf").write_text(MAIN.format(folder=folder, daemons=DAEMONS))
    (folder / "master.cf").write_text(MASTER.format(port=port))
    for sub in ("queue", "data"):
        (folder / sub).mkdir()
    shutil.chown(folder / "data", "postfix")


def _run(program: str, folder: Path, command: str) -> None:
    done = subprocess.run(
        [program, "-c", str(folder), command], capture_output=True, text=True, timeout=60
    )
    assert not done.returncode, done.stderr


async def _auth(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak Dovecot's protocol for logins, as much as Postfix needs (auth-protocol 1.1)."""
    writer.write(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n")
    # It hangs up when it ends, or the test does.
    with suppress(OSError, asyncio.CancelledError):
        while line := await reader.readline():
            verb, *fields = line.decode().rstrip("\n").split("\t")
            if verb == "AUTH":
                # `resp=` and base64 of NUL cinema NUL secret.
                good = "resp=AGNpbmVtYQBzZWNyZXQ=" in fields
                writer.write(f"{'OK' if good else 'FAIL'}\t{fields[0]}\tuser=cinema\n".encode())
    writer.close()
