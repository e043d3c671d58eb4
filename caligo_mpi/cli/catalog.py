"""The verbs: each one's module, sentence, group and two examples.

The help of the command itself is made of this alone, without a parser.
Every example runs in a directory that has README's ``configs/``, in this order.
"""

from __future__ import annotations

#: The module of each verb in this package, and its sentence.
VERBS = {
    "generate": ("making", "simulate the pairs of a configuration into one file, or go on with it"),
    "distill": ("making", "make keys of a finished pairs file, or go on with it"),
    "resume": ("making", "go on with an unfinished pairs or keys file by the configuration in it"),
    "slurm": (
        "making",
        "print a batch script for a run, with ranks, time and memory from a short trial",
    ),
    "sequential": ("making", "pairs and protocol inside one NetSquid simulation, for validation"),
    "sweep": ("sweeping", "run a base at every point of some axes, into a directory of results"),
    "merge": ("sweeping", "join the results of sweeps of equal base"),
    "init": ("looking", "write a commented starter configuration"),
    "validate": (
        "looking",
        "check a configuration; print it resolved, with sizes and an estimate of the time",
    ),
    "schema": ("looking", "print the JSON Schema of the configuration"),
    "status": ("looking", "show how far a finished, running or stopped pairs or keys file is"),
    "verify": ("looking", "recompute every checksum of a pairs or keys file"),
    "analyze": (
        "looking",
        "look for anything in a pairs file that its configuration does not explain",
    ),
    "export": ("looking", "write a pairs file's rows as plain columns"),
    "engines": ("looking", "list the simulation engines, and what keeps one from being used"),
    "completion": ("looking", "print a script by which a shell completes verbs, options and files"),
    "report": ("reporting", "make one page about pairs, keys, sweeps, benches; it opens from disk"),
    "bench": ("benching", "measure engines and parameters, each run in a process of its own"),
    "doctor": (
        "doctoring",
        "examine this place: MPI, ranks and cores, output disk, memory, batch job, engines",
    ),
}

#: Verbs by what they are for; a verb that stands nowhere is among the others.
GROUPS = {
    "run": ("init", "validate", "generate", "distill", "sweep", "merge", "resume", "sequential"),
    "look": ("status", "verify", "analyze", "report", "export"),
    "cluster": ("slurm",),
    "measure": ("bench",),
    "other": ("engines", "doctor", "schema", "completion"),
}

EXAMPLES = {
    "init": (
        "caligo-mpi init my.yaml",
        "caligo-mpi init --like lossy-fiber",
    ),
    "validate": (
        "caligo-mpi validate my.yaml",
        "caligo-mpi validate my.yaml --set engine.link.fidelity=0.95 --json",
    ),
    "generate": (
        "caligo-mpi generate configs/small.yaml --ranks 2",
        "caligo-mpi generate my.yaml -o my.h5 --set pairs=2e5 --set seed=7",
    ),
    "distill": (
        "caligo-mpi distill small.h5",
        "caligo-mpi distill my.h5 --config configs/bbm92.yaml -o my-keys.h5",
    ),
    "resume": (
        "caligo-mpi resume small.h5",
        "caligo-mpi resume my-keys.h5 --ranks 2",
    ),
    "sweep": (
        "caligo-mpi sweep configs/sweep-fidelity.yaml --plan",
        "caligo-mpi sweep configs/sweep-fidelity.yaml -o fidelity --set base.pairs=1e4",
    ),
    "merge": (
        "caligo-mpi merge fidelity -o all",
        "caligo-mpi merge fidelity all -o everything --json",
    ),
    "sequential": (
        "caligo-mpi sequential configs/netsquid.yaml -o sequential.h5",
        "caligo-mpi sequential configs/netsquid.yaml -o traced.h5 --trace events.tsv",
    ),
    "status": (
        "caligo-mpi status small.h5 --json",
        "caligo-mpi status small.h5 small.keys.h5 --watch",
    ),
    "verify": (
        "caligo-mpi verify small.h5 --resample 3",
        "caligo-mpi verify small.keys.h5",
    ),
    "analyze": (
        "caligo-mpi analyze small.h5",
        "caligo-mpi analyze my.h5 --json",
    ),
    "report": (
        "caligo-mpi report small.h5 small.keys.h5",
        "caligo-mpi report small.h5 my.h5 -o both.html --figures figures",
    ),
    "export": (
        "caligo-mpi export small.h5 --to npz",
        "caligo-mpi export my.h5 --to csv --rows :1000 --columns bob_basis,bob_outcome",
    ),
    "slurm": (
        "caligo-mpi slurm my.yaml -o run.h5",
        "caligo-mpi slurm my.yaml -o run.h5 --ranks 64 --time 2:00:00",
    ),
    "bench": (
        "caligo-mpi bench peers --plan",
        "caligo-mpi bench peers --engines noise,plain --pairs 1e5 --repeats 3 -q",
    ),
    "engines": (
        "caligo-mpi engines",
        "caligo-mpi engines --accept netsquid --report netsquid-report.json",
    ),
    "doctor": (
        "caligo-mpi doctor",
        "caligo-mpi doctor --json",
    ),
    "schema": (
        "caligo-mpi schema",
        "caligo-mpi schema --protocol",
    ),
    "completion": (
        "caligo-mpi completion bash",
        "caligo-mpi completion fish",
    ),
}  # fmt: skip

_WIDTH = 79

DESCRIPTION = "Simulate entangled-pair experiments into HDF5, and make keys of them."
_USAGE = "usage: caligo-mpi [-h] [--version] VERB ..."
_CLOSING = "`caligo-mpi VERB --help` has a verb's options and two examples; --version the version."


def command_help() -> str:
    """What ``caligo-mpi --help`` prints: the usage, what all is for, and the verbs."""
    sentences = {name: sentence for name, (_, sentence) in VERBS.items()}
    parts = [
        _USAGE,
        DESCRIPTION,
        overview(sentences),
        _CLOSING,
    ]
    return "\n\n".join(parts) + "\n"


def overview(verbs: dict[str, str]) -> str:
    """The verbs, each with its sentence, in their groups.

    >>> print(overview({"status": "show how far a run is", "dance": "turn around"}))
    look:
        status      show how far a run is
    <BLANKLINE>
    other:
        dance       turn around
    """
    grouped = {name for names in GROUPS.values() for name in names}
    rest = tuple(name for name in verbs if name not in grouped)
    parts = []
    for group, names in GROUPS.items():
        listed = [name for name in names if name in verbs]
        if group == "other":
            listed += rest
        if not listed:
            continue
        lines = [f"{group}:"]
        for name in listed:
            lines += _entry(name, verbs[name])
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def epilog(verb: str) -> str | None:
    """The examples at the end of a verb's help."""
    found = EXAMPLES.get(verb)
    return "\n  ".join(["examples:", *found]) if found else None


def wrapped(text: str, width: int) -> list[str]:
    """The words of a text in lines of at most ``width`` letters.

    >>> wrapped("as many as fit", 8)
    ['as many', 'as fit']
    """
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _entry(name: str, text: str) -> list[str]:
    """A verb and its sentence, the sentence's further lines below its first."""
    first, *further = wrapped(text, _WIDTH - 16)
    lines = [f"    {name:<11} {first}"]
    for line in further:
        lines.append(" " * 16 + line)
    return lines
