"""Arguments of known programs by which they run other programs, or write somewhere.

A table of what such arguments begin with: one that an input begins is an attack. What
begins with a dash is none where `--` stands before it, where it is the value of the
option before it, or where the program's own options have ended. As `getopt` does, names
are known by their beginnings too, and letters by standing together behind one dash.
Programs that are not here are not judged.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPTIONS: dict[str, tuple[str, ...]] = {
    "7z": ("-o", "-p", "-t", "-i", "-x", "@"),
    "awk": ("-f", "--file", "-e", "--source", "-i", "--include", "-l", "--load"),
    "chmod": ("--reference", "-R", "--recursive"),
    "chown": ("--reference", "--from", "-R", "--recursive"),
    "convert": ("-write", "-delegate", "@", "msl:", "mvg:", "ephemeral:", "text:", "|"),
    "cp": ("-t", "--target-directory", "-s", "--suffix"),
    "curl": ("-o", "-O", "-K", "-T", "-F", "-d", "-x", "--output", "--config",
             "--upload-file", "--form", "--data", "--proxy", "--remote-name",
             "--next", "--unix-socket", "--dump-header", "-D", "--cookie-jar",
             "--trace", "file:", "@"),
    "date": ("-f", "--file", "-s", "--set", "-r", "--reference"),
    "chromium": ("--gpu-launcher", "--utility-cmd-prefix", "--renderer-cmd-prefix",
                 "--no-sandbox", "--disable-web-security", "--allow-file-access",
                 "--user-data-dir", "--print-to-pdf", "--load-extension", "file:"),
    "dig": ("-f", "-k"),
    "docker": ("-v", "--volume", "--mount", "--privileged", "--cap-add", "--device",
               "-H", "--host", "--config", "--pid", "--network", "--entrypoint", "-u"),
    "env": ("-S", "--split-string"),
    "exiftool": ("-config", "-if", "-@", "-o", "-TagsFromFile", "-ec"),
    "ffmpeg": ("-i", "-f", "-y", "-filter", "-vf", "-attach", "-dump", "concat:",
               "subfile:", "file:"),
    "find": ("-exec", "-ok", "-delete", "-fprint", "-fls", "-files0-from"),
    "gdb": ("-ex", "-x", "-ix", "-iex", "--command", "--eval-command"),
    "git": ("-c", "-o", "-u", "-O", "--upload-pack", "--receive-pack", "--exec",
            "--output", "--config", "--git-dir", "--work-tree", "--template",
            "--open-files-in-pager", "--ext-diff", "--textconv", "ext::", "fd::",
            "ssh://-"),
    "gpg": ("-o", "--output", "--options", "--homedir", "--photo-viewer",
            "--keyserver", "--exec-path", "--status-file", "--log-file"),
    "grep": ("-f", "--file", "-r", "-R", "--recursive"),
    "gs": ("-s", "-c", "-d", "-o", "-f", "@"),
    "hg": ("--config", "--debugger", "--cwd", "--repository", "-R"),
    "kubectl": ("--kubeconfig", "-s", "--server", "--token", "--as", "-f",
                "--filename", "--overrides"),
    "ln": ("-t", "--target-directory", "-S", "--suffix"),
    "lua": ("-e", "-l", "-i"),
    "make": ("-f", "-C", "-I", "--file", "--makefile", "--directory", "--eval"),
    "man": ("-P", "-H", "--pager", "--html"),
    "mv": ("-t", "--target-directory", "-S", "--suffix"),
    "mysql": ("-e", "--execute", "--pager", "--defaults", "--init-command", "--tee"),
    "mysqldump": ("-r", "--result-file", "-T", "--tab", "--defaults"),
    "nc": ("-e", "-c", "--exec", "--sh-exec", "--lua-exec", "-x"),
    "nmap": ("-iL", "-o", "--script", "--datadir", "--resume", "--interactive"),
    "node": ("-e", "-p", "-r", "--eval", "--print", "--require", "--import",
             "--inspect", "-"),
    "npm": ("--prefix", "--script-shell", "--node-options", "--registry",
            "--userconfig"),
    "openssl": ("-engine", "-provider", "-out", "-passin", "-config"),
    "pandoc": ("-F", "-o", "-L", "--filter", "--lua-filter", "--output", "--template",
               "--extract-media", "--include", "-A", "-B", "-H", "--pdf-engine"),
    "perl": ("-e", "-E", "-M", "-m", "-I", "-i", "-p", "-n", "-s", "-x"),
    "pg_dump": ("-f", "--file", "-F"),
    "php": ("-r", "-R", "-B", "-E", "-d", "-c", "-f", "-F", "-S", "--run"),
    "pip": ("-i", "-e", "-r", "-t", "--index-url", "--extra-index-url", "--editable",
            "--requirement", "--target", "--find-links", "--proxy", "-f", "--prefix"),
    "psql": ("-c", "-f", "-o", "-v", "--command", "--file", "--output", "--variable"),
    "python": ("-c", "-m", "-i", "-W", "-X"),
    "rm": ("-r", "-R", "-f", "--recursive", "--no-preserve-root"),
    "rsync": ("-e", "--rsh", "--rsync-path", "--daemon", "--log-file", "--files-from",
              "--write-batch", "--config"),
    "ruby": ("-e", "-r", "-I", "-n", "-p", "-s", "-x"),
    "scp": ("-o", "-S", "-F", "-J"),
    "sed": ("-e", "-f", "-i", "-n", "--expression", "--file", "--in-place"),
    "sendmail": ("-X", "-C", "-O", "-be", "-oQ", "-D"),
    "sh": ("-c", "-i", "-s", "-o", "--rcfile", "--init-file"),
    "socat": ("EXEC:", "exec:", "SYSTEM:", "system:", "OPEN:", "open:", "FILE:",
              "file:"),
    "sort": ("-o", "--output", "--compress-program", "-T", "--files0-from"),
    "ssh": ("-o", "-F", "-E", "-i", "-J", "-L", "-R", "-D", "-w"),
    "svn": ("--config-option", "--config-dir", "--editor-cmd", "--diff-cmd",
            "svn+ssh://-"),
    "tar": ("-I", "-F", "-P", "-C", "-T", "--checkpoint", "--use-compress-program",
            "--to-command", "--rmt-command", "--rsh-command", "--info-script",
            "--new-volume-script", "--absolute-names", "--directory", "--files-from"),
    "tcpdump": ("-z", "-w", "-r", "-V", "-F"),
    "unzip": ("-d", "-o", ":"),
    "vim": ("-c", "-S", "-u", "-U", "-w", "-s", "--cmd", "+"),
    "wget": ("-O", "-o", "-P", "-i", "-e", "--output", "--use-askpass", "--execute",
             "--post-file", "--body-file", "--config", "--input-file", "-a",
             "--append-output", "--directory-prefix", "--warc-file"),
    "wkhtmltopdf": ("--enable-local-file-access", "--allow", "--run-script",
                    "--post-file", "--user-style-sheet", "--cookie-jar"),
    "xargs": ("-I", "-a", "--arg-file"),
    "zip": ("-T", "-TT", "-b", "--unzip-command", "-O"),
}  # fmt: skip

_SAME = {
    "gawk": "awk", "mawk": "awk", "egrep": "grep", "fgrep": "grep", "gsed": "sed",
    "identify": "convert", "magick": "convert", "mogrify": "convert",
    "mariadb": "mysql", "mariadb-dump": "mysqldump", "ncat": "nc", "netcat": "nc",
    "nodejs": "node", "pip3": "pip", "pg_dumpall": "pg_dump", "podman": "docker",
    "python3": "python", "sftp": "scp", "vi": "vim", "view": "vim", "ffprobe": "ffmpeg",
    "chgrp": "chown", "gpg2": "gpg", "mail": "sendmail", "mailx": "sendmail",
    "bash": "sh", "dash": "sh", "zsh": "sh", "ksh": "sh", "ash": "sh", "rbash": "sh",
    "chromium-browser": "chromium", "google-chrome": "chromium", "chrome": "chromium",
    "7za": "7z", "gmake": "make", "wkhtmltoimage": "wkhtmltopdf", "gtar": "tar",
}  # fmt: skip
"""Programs that read the same arguments as another."""

_BY_WORDS = frozenset(
    ("convert", "exiftool", "ffmpeg", "find", "gdb", "nmap", "openssl")
)
"""Programs whose options are words behind one dash."""

_OPERANDS = {
    "docker": 2, "env": 1, "lua": 1, "node": 1, "perl": 1, "php": 1, "python": 1,
    "ruby": 1, "sh": 1, "ssh": 1, "xargs": 1,
}  # fmt: skip
"""After so many words that are no options, the options of these have ended: what
follows belongs to the script or the command that they run."""

VALUES: dict[str, str] = {
    "awk": "v F f",
    "curl": "A b c C d e E F H K m o P Q r t T u U w x X y Y z data data-raw "
            "data-binary data-urlencode form header url user user-agent request "
            "referer output max-time proxy cookie",
    "ffmpeg": "i f ss t to c vf af map r s metadata b codec filter",
    "docker": "v e p u w name volume env workdir user network mount label",
    "env": "u C",
    "find": "name iname path ipath type size newer mtime user group regex maxdepth "
            "mindepth perm",
    "git": "C c m F S G author committer grep since until after before message "
           "format date branch b depth",
    "grep": "e f m A B C D d regexp file include exclude max-count",
    "mysql": "e u h P D S execute user host port database",
    "nc": "p s w",
    "perl": "e E I",
    "psql": "c d f h p U v F P command dbname host port username variable",
    "python": "W X",
    "rsync": "e f T include exclude filter",
    "ruby": "e r I",
    "scp": "c i l P",
    "sed": "e f l",
    "sh": "o O",
    "sort": "k S t T",
    "ssh": "b c D E e F I i J L l m O o p Q R S W w B",
    "tar": "f b g L N T V X file exclude transform",
    "wget": "O o P a i e t T U header user-agent post-data tries timeout",
    "xargs": "a d E I L n P s",
}  # fmt: skip
"""Options whose value is the next argument, without their dashes."""

PRINTERS = frozenset(("echo", "printf", "logger", "say", "wall"))
"""Programs whose further words are text: one more of them does no harm."""

_VERSION = re.compile(r"(?<=[a-z])[\d.]+\Z")
_CLUSTER = re.compile(r"-([A-Za-z\d]+)").match


def base_name(program: str) -> str:
    """The program without its folder."""
    return program.rpartition("/")[2]


def known_name(program: str) -> str:
    """The name by which a program stands in the tables, or nothing."""
    name = base_name(program)
    names = [name, _VERSION.sub("", name)]
    return next((n for each in names if (n := _SAME.get(each, each)) in OPTIONS), "")


def options_of(arguments: Sequence[str]) -> Iterator[int]:
    """Where a command has arguments by which it runs or writes, whoever put them."""
    name = known_name(arguments[0])
    begins = OPTIONS.get(name, ())
    signs = tuple(each for each in begins if each[0] != "-")
    operands, are_over = 0, not begins
    for at, (before, argument) in enumerate(pairwise(arguments), 1):
        if signs and argument.startswith(signs):
            yield at
        are_over = are_over or argument == "--"
        if are_over or _takes_value(name, before):
            continue
        if argument[:1] != "-":
            operands += 1
            are_over = operands == _OPERANDS.get(name)
        elif _is_harmful(name, begins, argument):
            yield at


def _is_harmful(name: str, begins: tuple[str, ...], argument: str) -> bool:
    if argument.startswith(begins):
        return True
    if argument.startswith("--"):
        begun = argument.partition("=")[0]
        return len(begun) > 3 and any(each.startswith(begun) for each in begins)
    letters = None if name in _BY_WORDS else _CLUSTER(argument)
    return letters is not None and any(f"-{one}" in begins for one in letters.group(1))


def _takes_value(name: str, option: str) -> bool:
    """Whether what follows an option is its value and never read as an option."""
    values = VALUES.get(name, "").split()
    if option.startswith("--") or name in _BY_WORDS:
        return option[:1] == "-" and option.lstrip("-") in values
    is_old = name == "tar" and option.isalpha()  # `tar xf FILE`
    return (option[:1] == "-" or is_old) and option[-1:] in values
