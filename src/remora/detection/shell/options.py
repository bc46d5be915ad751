"""Options of known programs that run other programs, or write where they are told to.

A table of prefixes: an argument that an input begins and that starts with one of them
is an attack, unless `--` stands before it. Programs that are not here are not judged.
"""

from __future__ import annotations

OPTIONS: dict[str, tuple[str, ...]] = {
    "awk": ("-f", "--file", "-e", "--source", "-i", "--include", "-l", "--load"),
    "curl": ("-o", "-O", "-K", "-T", "-F", "-d", "-x", "--output", "--config",
             "--upload-file", "--form", "--data", "--proxy", "--remote-name",
             "--next", "--unix-socket"),
    "ffmpeg": ("-i", "-f", "-y", "-filter"),
    "find": ("-exec", "-ok", "-delete", "-fprint", "-fls"),
    "git": ("-c", "-o", "-u", "-O", "--upload-pack", "--receive-pack", "--exec",
            "--output", "--config", "--git-dir", "--work-tree", "--template",
            "--open-files-in-pager", "--ext-diff", "--textconv"),
    "hg": ("--config", "--debugger", "--cwd", "--repository", "-R"),
    "man": ("-P", "-H", "--pager", "--html"),
    "mysql": ("-e", "--execute", "--pager", "--defaults", "--init-command"),
    "psql": ("-c", "-f", "-o", "--command", "--file", "--output"),
    "rsync": ("-e", "--rsh", "--rsync-path", "--daemon", "--log-file"),
    "scp": ("-o", "-S", "-F", "-J"),
    "sed": ("-e", "-f", "-i", "-n", "--expression", "--file", "--in-place"),
    "sendmail": ("-X", "-C", "-O", "-be", "-oQ"),
    "sort": ("-o", "--output", "--compress-program", "-T"),
    "ssh": ("-o", "-F", "-E", "-i", "-J", "-L", "-R", "-D", "-w"),
    "svn": ("--config-option", "--config-dir", "--editor-cmd", "--diff-cmd"),
    "tar": ("-I", "-F", "-P", "-C", "--checkpoint", "--use-compress-program",
            "--to-command", "--rmt-command", "--rsh-command", "--info-script",
            "--new-volume-script", "--absolute-names", "--directory"),
    "unzip": ("-d", "-o", ":"),
    "wget": ("-O", "-o", "-P", "-i", "-e", "--output", "--use-askpass", "--execute",
             "--post-file", "--body-file", "--config", "--input-file"),
    "xargs": ("-I", "-a", "--arg-file"),
    "zip": ("-T", "-TT", "-b", "--unzip-command", "-O"),
}  # fmt: skip

SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash", "busybox"))
WRAPPERS = frozenset(("env", "nice", "nohup", "sudo", "timeout", "time", "setsid"))
PRINTERS = frozenset(("echo", "printf", "logger", "say", "wall"))
"""Programs whose further words are text: one more of them does no harm."""


def base_name(program: str) -> str:
    """The program without its folder."""
    return program.rpartition("/")[2]


def is_harmful(program: str, argument: str) -> bool:
    """Whether this argument is an option by which that program runs or writes."""
    options = OPTIONS.get(base_name(program), ())
    return argument.startswith("-") and argument.startswith(options)
