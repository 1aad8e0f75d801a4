/* Design note: one command that looks for a place, says that it is ready, takes the file from its stdin under a name of its
 * own, checks size, hash and that the program runs, and renames it: two masters at once each rename a whole file. A place is
 * one where a small program of its own making runs (it may be mounted noexec). What is wrong with each place is told.
 *
 * The script keeps to what the shells agree on; see launch_ssh_agent.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "launch_ssh_inner.h"
#include "sys.h"

#define SCRIPT_BYTES 3000
#define PIECE_BYTES  32768

/* The node build is for machines like this one. */
static enum mf_err check_machine(struct mf_launch_ssh *l)
{
    struct utsname us;
    char system[80] = "", machine[80] = "";
    sscanf(l->remote, "%79s %79s", system, machine);
    if (uname(&us) != 0 || (strcmp(us.sysname, system) == 0 && strcmp(us.machine, machine) == 0))
        return MF_OK;
    return mf_launch_fail(l, MF_EINVAL,
                          "the host is a %s %s, but the node build is for %s %s. Install Moonfleet there, or name it "
                          "(program = \"...\")",
                          system, machine, us.sysname, us.machine);
}

/* @N@ stands for what is filled in: 0 folder of the hash, 1 whole hash, 2 size, 3 our version, 4 a name of our own. */
static const char script[] =
    "exec sh -c 'umask 077; w=; f=; t=" MF_LAUNCH_TEMP "; "
    "for d in \"" MF_LAUNCH_CACHE "\" $t; do "
    "case $d in $t) mkdir -m 700 $t 2>/dev/null; { [ -O $t ] && [ -d $t ]; } || { w=\"$w; $t belongs to somebody "
    "else\"; continue; }; "
    "[ -h $t ] && { w=\"$w; $t is a link\"; continue; };; esac; "
    "e=$(mkdir -p \"$d/@0@\" 2>&1) || { w=\"$w; $e\"; continue; }; "
    "x=\"$d/@0@/.try.@4@\"; { echo true >\"$x\" && chmod 700 \"$x\"; } 2>/dev/null || "
    "{ w=\"$w; $d: no space, or not writable\"; rm -f \"$x\"; continue; }; "
    "\"$x\" 2>/dev/null || { w=\"$w; $d: programs may not be executed there\"; rm -f \"$x\"; continue; }; "
    "rm -f \"$x\"; f=\"$d/@0@\"; break; done; "
    "[ \"$f\" ] || { rmdir $t 2>/dev/null; echo \"" MF_LAUNCH_MARKER "no place$w\"; exit 1; }; "
    "find \"$f\" -name \".new.*\" -mtime +1 -exec rm -f {} + 2>/dev/null; "
    "n=\"$f/.new.@4@\"; echo \"" MF_LAUNCH_MARKER "send\"; "
    "e=$(cat 2>&1 >\"$n\"); s=$(wc -c <\"$n\"); s=$(( ${s:-0} )); h=@1@; "
    "[ $s -eq @2@ ] && command -v sha256sum >/dev/null && h=$(sha256sum <\"$n\") && h=${h%% *}; "
    "chmod 700 \"$n\"; "
    "if [ $s -ne @2@ ]; then e=\"$s of @2@ bytes were written to $f: $e\"; "
    "elif [ $h = @1@ ]; then v=$(\"$n\" --version 2>&1 </dev/null); set -- $v; "
    "e=; [ \"$1 $2\" = \"@3@\" ] || e=\"it does not run there: $v\"; "
    "else e=\"it arrived damaged\"; fi; "
    "[ -z \"$e\" ] && { e=$(mv -f \"$n\" \"$f/moonfleet\" 2>&1) || e=\"${e:-mv failed}\"; }; rm -f \"$n\"; "
    "rmdir \"$f\" 2>/dev/null; [ -z \"$e\" ] && echo \"" MF_LAUNCH_MARKER "done\" || echo \"" MF_LAUNCH_MARKER "$e\"'";

static bool make_command(const struct mf_launch_ssh *l, const char *hex, uint64_t size, char command[SCRIPT_BYTES])
{
    char folder[MF_LAUNCH_HASH + 1], bytes[24], token[24];
    const char *const values[] = {folder, hex, bytes, l->options.version, token};
    snprintf(folder, sizeof folder, "%.*s", MF_LAUNCH_HASH, hex);
    snprintf(bytes, sizeof bytes, "%" PRIu64, size);
    snprintf(token, sizeof token, "%016" PRIx64, mf_sys_entropy());
    return mf_launch_fill(command, SCRIPT_BYTES, script, values);
}

/* The file, to the command's stdin. */
static enum mf_err send_file(struct mf_launch_ssh *l, struct mf_stream_remote *remote)
{
    char bytes[PIECE_BYTES];
    ssize_t n;
    int fd = open(l->options.node_build, O_RDONLY | O_CLOEXEC);
    enum mf_err e = fd < 0 ? MF_ESYS : MF_OK;
    while (e == MF_OK && (n = read(fd, bytes, sizeof bytes)) != 0) {
        if (n > 0)
            e = mf_remote_write(remote, bytes, (size_t)n, &l->wait);
        else if (errno != EINTR)
            e = MF_ESYS;
    }
    if (e == MF_ESYS)
        mf_launch_fail(l, e, "cannot read %s: %s", l->options.node_build, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (e == MF_OK)
        e = mf_remote_shut(remote, &l->wait);
    if (e == MF_ETIMEDOUT || e == MF_EINTR)
        mf_launch_fail(l, e, "the host did not take it in time");
    return e == MF_ECLOSED ? MF_OK : e; /* why is said below */
}

static enum mf_err converse(struct mf_run *run, struct mf_stream_remote *remote)
{
    struct mf_launch_ssh *l = run->launch;
    char line[600];
    enum mf_err e = mf_launch_listen(run, remote, false, line, sizeof line);
    if (e == MF_OK && strncmp(line, "no place", 8) == 0)
        return mf_launch_fail(l, MF_ESYS,
                              "the host has no place for the program%s. Install it there, or name it "
                              "(program = \"...\")",
                              line + 8);
    if (e == MF_OK)
        e = send_file(l, remote);
    if (e == MF_OK)
        e = mf_launch_listen(run, remote, false, line, sizeof line);
    if (e == MF_OK && strcmp(line, "done") != 0)
        return mf_launch_fail(l, MF_ESYS, "%s", line);
    return e;
}

enum mf_err mf_launch_upload(struct mf_run *run)
{
    struct mf_launch_ssh *l = run->launch;
    struct mf_fault fault;
    char hex[65], command[SCRIPT_BYTES];
    uint64_t size;
    l->step = MF_LAUNCH_UPLOAD;
    enum mf_err e = check_machine(l);
    if (e == MF_OK)
        e = mf_launch_build(l, hex, &size);
    if (e == MF_OK && !make_command(l, hex, size, command))
        e = mf_launch_fail(l, MF_EINVAL, "the command is too long");
    if (e != MF_OK)
        return e;
    struct mf_stream_remote *remote = mf_launch_run(run, command, &fault);
    mf_launch_begin(l, MF_LAUNCH_UPLOAD, l->options.limits.upload);
    if (!remote)
        return mf_launch_fail(l, fault.code, "%s", fault.text);
    e = converse(run, remote);
    if (e == MF_OK)
        mf_launch_end_run(run, remote);
    else
        remote->end.table->close(&remote->end);
    return e;
}
