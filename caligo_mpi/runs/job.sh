# shellcheck shell=bash
# What a Slurm job does around a run: stop it before the time limit, go back into the queue, and, where wanted, work
# on a fast scratch disk.  Sourced by the scripts in slurm/, part of what `caligo-mpi slurm` prints.
#
#   caligo_job FILE COMMAND...     run COMMAND with "-o FILE" added, then end the job:
#       0   FILE is complete
#       75  stopped at the time limit; the job is back in the queue, where the same command goes on
#       else the command's own exit code; what was committed is kept in FILE.part
#
# CALIGO_SCRATCH=DIR   work in DIR, copy back when the run ends, check the copy before it gets its name
# CALIGO_HURRY=60      seconds after Slurm's warning until chunks that are still running are given up

stopped=${stopped:-} # why the run was asked to stop: limit, or cancel
run=''               # its process

# Ask the run to stop, and again after so many seconds: then chunks that are still running are given up.
stop_run() {
    signaled=1
    [ -n "$run" ] || return
    kill -USR1 "$run" 2>/dev/null
    { sleep "$1" && kill -USR1 "$run"; } 2>/dev/null &
    timer=$!
}

# Slurm sends USR1 before the time limit (--signal=B:USR1@120), up to a minute earlier than it was asked for.
on_warning() {
    stopped=${stopped:-limit}
    stop_run "${CALIGO_HURRY:-60}"
}

# TERM comes with scancel, preemption and `scontrol requeue`, after which a job must not queue itself again; and at the
# time limit, if the warning was too short.  KILL follows, as a rule after 30 seconds.
on_term() {
    stopped=cancel
    [ "$(date +%s)" -lt "$limit" ] || stopped=limit
    stop_run 10
}

trap on_warning USR1
trap on_term TERM

say() { printf 'caligo-mpi job %s: %s\n' "$SLURM_JOB_ID" "$*" >&2; }

# When the time limit is reached, in seconds since 1970.
time_limit() {
    local end
    end=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/.* EndTime=\([^ ]*\).*/\1/p' | head -n 1)
    date -d "${end/T/ }" +%s 2>/dev/null || echo 9999999999
}

# Chunks that are in FILE.
chunks_in() {
    local found
    found=$(caligo-mpi status "$1" --json 2>/dev/null | sed -n 's/.*"\(chunks\|blocks\)_done": \([0-9]*\).*/\2/p')
    echo "${found:-0}"
}

# Run a command to its end; its exit code goes to $code.
run_to_end() {
    local status
    "$@" 9>&- &
    run=$!
    [ -z "$stopped" ] || kill -USR1 "$run"
    # A trapped signal ends the wait, not the run.
    signaled=1
    while [ -n "$signaled" ]; do
        signaled=''
        wait "$run"
        status=$?
        # 127: the run had ended already when the signal came.
        [ "$status" -eq 127 ] || code=$status
    done
    run=''
    [ -z "${timer:-}" ] || kill "$timer" 2>/dev/null
}

# Take FILE's lock, so that nobody works on FILE itself meanwhile, and bring what there is of it to the scratch disk.
fetch() {
    if [ -L "$file.lock" ] || { [ -e "$file.lock" ] && [ ! -f "$file.lock" ]; } ||
        { [ -s "$file.lock" ] && ! head -c 7 "$file.lock" | grep -qx '{"id": '; }; then
        say "$file.lock is no lock file of caligo-mpi and is left alone; move it away"
        exit 2
    fi
    exec 9>>"$file.lock"
    flock -n 9
    # Other codes than 1: the file system has no such locks.
    if [ $? -eq 1 ]; then
        say "$file is being written by $(cat "$file.lock")"
        exit 2
    fi
    printf '{"id": "scratch", "host": "%s", "pid": %d, "job": "%s"}' "$(hostname)" $$ "$SLURM_JOB_ID" >"$file.lock"
    rm -f "$file.copy" "$file.part.copy"
    mkdir -p "${work%/*}" || exit 2
    [ ! -e "$file.part" ] || cp --sparse=always "$file.part" "$work.part" || exit 2
}

# Copy what came out back; a copy gets its name when every checksum in it is right.
bring_back() {
    local ending=.part
    [ ! -e "$work" ] || ending=''
    [ -e "$work$ending" ] || return 0
    local copy=$file$ending.copy
    if cp --sparse=always "$work$ending" "$copy" && caligo-mpi verify "$copy" && mv -f "$copy" "$file$ending"; then
        [ -n "$ending" ] || rm -f "$file.part"
        rm -rf "${work%/*}"
        return
    fi
    say "$work$ending could not be copied to $file$ending; it is kept on $(hostname)"
    code=1 stopped=''
}

# Put this job back into the queue, unless two launches in a row did not finish a single chunk.
requeue() {
    local job=$SLURM_JOB_ID
    # The number of an array's last task is that of the array, all of which would be requeued.
    [ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    if [ "$(chunks_in "$file")" != "$1" ]; then
        rm -f "$file.stalled"
    elif [ -e "$file.stalled" ]; then
        rm -f "$file.stalled"
        say "two launches without one finished chunk: ask for more time (--time), or set a smaller chunk_size"
        return
    else
        touch "$file.stalled"
    fi
    scontrol requeue "$job" || say "the job cannot be requeued here; submit it again to go on"
}

caligo_job() {
    local file work before code=75
    case ${CALIGO_HURRY:-60} in
        *[!0-9]*)
            say "CALIGO_HURRY=$CALIGO_HURRY must be a whole number of seconds"
            exit 2
            ;;
    esac
    file=$(realpath -m -- "$1")
    shift
    limit=$(time_limit)
    before=$(chunks_in "$file")
    work=$file
    if [ -n "${CALIGO_SCRATCH:-}" ] && [ ! -e "$file" ]; then
        work="$CALIGO_SCRATCH/caligo-$SLURM_JOB_ID/${file##*/}"
        fetch
    fi
    [ -n "$stopped" ] || run_to_end "$@" -o "$work"
    # Launchers have been seen to exit with 0 without having started anything.
    if [ "$code" -eq 0 ] && [ ! -e "$work" ]; then
        say "the command ended with 0, but $work is not there; look above for what the launcher says"
        code=1
    fi
    if [ "$work" != "$file" ]; then
        bring_back
        rm -f "$file.lock"
    fi
    case "$code:$stopped" in
        0:* | 2:* | *:cancel) ;;
        75:* | *:limit) requeue "$before" ;;
    esac
    exit "$code"
}
