"""Names that other configurations use, with today's name and the difference in meaning."""

from __future__ import annotations

_PAIRS = ("pairs",), "it counts emissions; with loss the file holds fewer rows"
_CHUNK = (
    ("chunk_size",),
    "the unit of seeding, so it changes the bits; a multiple of 8, unrelated to ranks or messages",
)
_RANKS = (
    ("mpi.ranks",),
    "usually chosen at launch (--ranks N or mpirun -n N); it never changes the bits",
)
_SEED = (
    ("seed",),
    "the only seed: chunk i draws from child i of SeedSequence(seed), whatever the ranks and the time",
)
_NOISE = (
    ("engine.link", "engine.alice", "engine.bob", "engine.loss"),
    "the link's state, each side's device and the losses are separate sections; `caligo-mpi init` writes them all",
)
_FIDELITY = (
    ("engine.link.fidelity",),
    "F = ⟨Φ⁺|ρ|Φ⁺⟩ of the delivered pair, not 1−p: QBER = 2(1−F)/3",
)
_DEPOLARIZING = ("engine.link.prob_max_mixed",), "p in ρ = (1−p)|Φ⁺⟩⟨Φ⁺| + p·I/4: QBER = p/2, not p"
_QBER = (
    ("engine.link.fidelity",),
    "the QBER is a result, not a parameter: for a Werner pair of QBER q set F = 1 − 1.5·q, or prob_max_mixed = 2·q",
)
_LIMIT = (), "remove it: limits on the QBER belong to `distill`, not to the making of pairs"
_READOUT = (
    ("engine.alice.readout_flip", "engine.bob.readout_flip"),
    "the flip probability e of one side's recorded bit: two sides of e each give a QBER of 2e(1−e)",
)
_EFFICIENCY = (
    ("engine.loss.alice.detector_efficiency", "engine.loss.bob.detector_efficiency"),
    "of one side's detector alone; fiber and coupling have their own keys",
)
_TRANSMISSION = (
    ("engine.loss.alice.coupling", "engine.loss.bob.coupling"),
    "the probability that survives apart from fiber (length_km, attenuation_db_per_km) and detector, per side",
)
_LENGTH = (
    ("engine.loss.alice.length_km", "engine.loss.bob.length_km"),
    "the arm from the source to one side: a distance L between the two with the source midway is L/2 in each",
)
_CLICKS = (
    ("engine.link.dark_count_probability",),
    "the probability of a dark click per attempt, of the heralded link as a whole",
)
_MIDWAY = (
    ("engine.link.length_km",),
    "the fiber between Alice and Bob, in km; light travels at 200,000 km/s",
)
_FIBER = ("engine.link.attenuation_db_per_km",), "in dB/km; 0.2 unless given"
_ARRIVING = (
    ("engine.link.detector_efficiency",),
    "the probability that an arriving photon is detected",
)
_ATTENUATION = (
    ("engine.loss.alice.attenuation_db_per_km", "engine.loss.bob.attenuation_db_per_km"),
    "in dB/km, per arm; 0.2 unless given",
)
_DARK = (
    ("engine.loss.alice.dark_count_rate_hz", "engine.loss.alice.dark_count_probability"),
    "a rate in Hz (with gate_width_ns) or a probability per gate, for all detectors of one side together; same for bob",
)
_STORAGE_NOISE = (
    (),
    "remove it: the noise of the adversary's memory is a parameter of `distill`; it changes neither pairs nor QBER",
)
_STORAGE_TIME = (
    ("engine.alice.storage_time_ns", "engine.bob.storage_time_ns"),
    "how long that side's qubit idles before its measurement, in ns; the protocol's waiting time is not set here",
)
_T1 = (
    ("engine.alice.T1_ns", "engine.bob.T1_ns", "engine.device.T1_ns"),
    "relaxation time in ns; 0 is off",
)
_T2 = (
    ("engine.alice.T2_ns", "engine.bob.T2_ns", "engine.device.T2_ns"),
    "dephasing time in ns, at most 2·T1 (NetSquid: T1); 0 is off",
)
_GATE = (
    (
        "engine.alice.gate_depolarizing",
        "engine.bob.gate_depolarizing",
        "engine.device.gate_depolarizing",
    ),
    "the probability that a gate, the H before an X measurement, replaces the qubit by I/2",
)
_BIAS = (
    ("engine.alice.basis_bias", "engine.bob.basis_bias"),
    "the probability of measuring in X; Z has the rest",
)
_MU = ("engine.source.mu",), "mean pairs per pulse, μ = 2λ, of the source with type: pdc"
_OUTPUT = ("output.path",), "one HDF5 file; the command line's -o goes first"
_RESUME = (), "remove it: the .part file is the checkpoint, and the same command resumes it"
_POLICY = ("schedule.policy",), "static, dynamic, guided or adaptive; none changes the bits"
_BINDING = (
    ("mpi.binding",),
    "auto, none, core, socket or numa; set where the launcher has not, and verified",
)
_EAGER = (
    (),
    "remove it: results up to 32 KiB travel inside the message that announces them; MPI's own limit is "
    "a variable of its library (Open MPI: OMPI_MCA_btl_sm_eager_limit)",
)
_RDMA = (
    (),
    "remove it: the MPI library chooses its transport (Open MPI: OMPI_MCA_pml, UCX: UCX_TLS in the environment)",
)
_PER_NODE = (
    ("mpi.ranks",),
    "the number of all ranks; how many of them share a node is the launcher's: "
    "--ntasks-per-node, or slots in a file of hosts",
)
_HUGE = (
    (),
    "remove it: huge pages gained nothing that could be told from noise (docs/scaling.md); "
    "numpy asks for them by itself",
)
_SHARED = (
    (),
    "remove it: what ranks hold of each other's results is bounded at 32 MiB, and MPI sizes its own shared memory",
)
_GONE = (), "remove it: rank 0 hands chunks out ahead of need by itself"

_LENGTHS = ("distance_km", "distance", "length", "fiber_length_km", "fibre_length_km", "fiber_length",
            "channel_length_km")  # fmt: skip
_LOSSES = ("fiber_loss_db_per_km", "fibre_loss_db_per_km", "attenuation", "attenuation_db", "loss_db_per_km",
           "p_loss_length")  # fmt: skip
_DARKS = ("dark_count_rate", "dark_counts", "dark_count", "dark_count_prob", "p_dark", "y0")
_DETECTORS = ("detection_efficiency", "detector_eff", "quantum_efficiency", "eta")

#: Old name → (today's keys, what to know).
ANSWERS: dict[str, tuple[tuple[str, ...], str]] = {
    **dict.fromkeys(
        ("num_epr_pairs", "total_pairs", "n_pairs", "num_pairs", "n_epr_pairs", "number_of_pairs", "num_rounds",
         "num_pulses", "n_pulses", "shots"), _PAIRS),
    **dict.fromkeys(("pairs_per_batch", "batch_size", "batch", "batches", "chunk", "pairs_per_chunk"), _CHUNK),
    **dict.fromkeys(
        ("num_workers", "workers", "n_workers", "max_workers", "num_processes", "n_jobs", "num_ranks", "ranks",
         "parallel", "parallel_config"), _RANKS),
    **dict.fromkeys(
        ("binding_strategy", "bind_to", "process_binding", "cpu_binding", "cpu_affinity", "affinity", "pinning"),
        _BINDING),
    **dict.fromkeys(("eager_limit", "mpi_eager_limit", "eager_threshold", "eager_limit_bytes"), _EAGER),
    **dict.fromkeys(("rdma", "use_rdma", "enable_rdma", "rdma_enabled"), _RDMA),
    **dict.fromkeys(
        ("processes_per_node", "procs_per_node", "ranks_per_node", "tasks_per_node", "workers_per_node", "ppn"),
        _PER_NODE),
    **dict.fromkeys(("huge_pages", "use_huge_pages", "hugepages", "enable_huge_pages"), _HUGE),
    **dict.fromkeys(
        ("shared_memory_size", "shared_memory", "shm_size", "shared_memory_mb", "shared_memory_bytes",
         "use_shared_memory"), _SHARED),
    **dict.fromkeys(("mpi_config", "mpi_settings", "mpi_params"), (("mpi", "schedule", "faults"),
        "how ranks are started, share chunks and are healed are separate sections")),
    "isolation_level": ((), "remove it: every chunk always has its own random stream and its own simulation"),
    "prefetch_batches": _GONE,
    "prefetch": _GONE,
    **dict.fromkeys(("base_seed", "random_seed", "rng_seed", "master_seed"), _SEED),
    **dict.fromkeys(
        ("noise_params", "noise", "noise_model", "noise_config", "network_config", "network", "physical"), _NOISE),
    **dict.fromkeys(
        ("channel_fidelity", "link_fidelity", "epr_fidelity", "bell_fidelity", "pair_fidelity", "source_fidelity"),
        _FIDELITY),
    **dict.fromkeys(
        ("noise_rate", "depolarizing_prob", "depolarising_prob", "depolar_prob", "depolarizing_rate",
         "depolarization"), _DEPOLARIZING),
    "visibility": (
        ("engine.link.visibility", "engine.link.prob_max_mixed"),
        "of photons that interfere midway it is a key of heralded links; "
        "the visibility V of a Werner pair is something else: prob_max_mixed = 1 − V, QBER = (1−V)/2"),
    **dict.fromkeys(("qber", "target_qber", "error_rate", "intrinsic_qber"), _QBER),
    **dict.fromkeys(("qber_threshold", "qber_limit", "max_qber", "abort_threshold"), _LIMIT),
    **dict.fromkeys(
        ("detector_error", "measurement_error", "readout_error", "intrinsic_error", "detector_noise"), _READOUT),
    **dict.fromkeys(_DETECTORS, _EFFICIENCY),
    **dict.fromkeys(("transmission", "transmittance", "loss_probability", "channel_loss"), _TRANSMISSION),
    **dict.fromkeys(_LENGTHS, _LENGTH),
    **dict.fromkeys(_LOSSES, _ATTENUATION),
    **dict.fromkeys(_DARKS, _DARK),
    **dict.fromkeys(
        ("nsm_storage_rate", "storage_noise_r", "storage_noise", "storage_rate", "storage_rate_nu", "nsm_params"),
        _STORAGE_NOISE),
    **dict.fromkeys(("storage_time", "delta_t", "delta_t_ns", "wait_time_ns", "wait_time"), _STORAGE_TIME),
    **dict.fromkeys(("t1", "t1_ns", "t1_time"), _T1),
    **dict.fromkeys(("t2", "t2_ns", "t2_time"), _T2),
    **dict.fromkeys(("gate_noise", "gate_error", "single_qubit_gate_depolar_prob"), _GATE),
    **dict.fromkeys(("basis_probability", "p_x", "px", "prob_x", "basis_choice"), _BIAS),
    **dict.fromkeys(("mean_photon_number", "mean_pairs", "mean_pair_number", "lambda"), _MU),
    **dict.fromkeys(("output_dir", "output_path", "output_file", "results_dir"), _OUTPUT),
    **dict.fromkeys(("checkpoint", "checkpoint_dir", "resume"), _RESUME),
    **dict.fromkeys(("strategy", "scheduling", "load_balancing", "scheduler"), _POLICY),
    **dict.fromkeys(("backend", "simulator"), (("engine.name",), "noise, netsquid or an installed engine")),
    "cycle_time": (("engine.link.cycle_time_ns",), "of a link whose attempts take time, in ns"),
    "t_cycle": (("engine.link.cycle_time_ns",), "of a link whose attempts take time, in ns"),
    "p_loss": (("engine.link.p_loss_init",), "of heralded links"),
    **dict.fromkeys(
        ("num_multiplexing", "coin_prob_ph_ph", "coin_prob_ph_dc", "coin_prob_dc_dc", "emission_fidelity"),
        ((), "remove it: one attempt at a time, and fidelities follow from the link's other keys")),
    "speed_of_light": ((), "remove it: light in fiber travels at 200,000 km/s"),
}  # fmt: skip

#: The same where the engine is netsquid, whose fibers and detectors are the link's.
NETSQUID_ANSWERS = {
    **ANSWERS,
    **dict.fromkeys(_LENGTHS, _MIDWAY),
    **dict.fromkeys(_LOSSES, _FIBER),
    **dict.fromkeys(_DARKS, _CLICKS),
    **dict.fromkeys(_DETECTORS, _ARRIVING),
}
