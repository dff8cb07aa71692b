/* startup.command: a command of the target is started, and awaited, by fork, exec and wait on the target's own clock.

   Which files it takes is found once, by looking at a start through ptrace: what it maps and what it opens. A cold start
   is one before which not a page of any of them is in the cache, and that was looked up; otherwise there is none. Names
   and inodes stay cached: only their content is evicted.

   Its output goes to a file in memory, which ends where it is full; so nobody has to run while it runs. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_STARTS = 1000, MOST_FILES = 4096, MOST_THREADS = 512, OUTPUT_ROOM = 1 << 20, OUTPUT_KEPT = 16384, MOST_OUTPUTS = 4,
       CANNOT_EXECUTE = 127 };

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef PTRACE_GET_SYSCALL_INFO
#define PTRACE_GET_SYSCALL_INFO 0x420e
#endif
#define REQUEST(number) ((__typeof__(PTRACE_TRACEME))(number))

/* As the kernel's ptrace_syscall_info, whose name differs between C libraries. */
struct call { uint8_t op; uint8_t pad[3]; uint32_t arch; uint64_t instruction, stack; union { uint64_t number; struct { int64_t value; uint8_t is_error; } end; uint64_t room[8]; }; };
enum { CALL_ENTRY = 1, CALL_EXIT = 2 };

struct output { char *text; size_t size, kept; };

static struct {
    uint64_t cold, warm, cold_done, warm_done;
    uint64_t cold_ns[MOST_STARTS], warm_ns[MOST_STARTS], began_ns, elapsed_ns;
    char *files[MOST_FILES];
    size_t file_count, file_bytes;
    int64_t kept_pages, after_cold_pages;
    const char *kept_file, *found_by;
    struct output outputs[MOST_OUTPUTS];
    size_t output_count, other_outputs;
    int statuses[3 * MOST_STARTS];
    size_t starts;
    char trouble[512];
} U;

/* ---- one start ---- */

static int sealed_file(void)
{
    int fd = memfd_create("output", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, OUTPUT_ROOM) || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK)) unsupported("a file in memory");
    return fd;
}

static _Noreturn void become(const int streams[3], int trouble, int traced)
{
    dup2(streams[0], 0), dup2(streams[1], 1), dup2(streams[2], 2);
    signal(SIGPIPE, SIG_DFL);
    if (traced && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))) _exit(CANNOT_EXECUTE);
    if (PLANTED == SKIP_WORK && !traced) _exit(0);
    if (PLANTED == WRONG_ANSWER && !traced) write_all(1, "x", 1);
    execvp(S.words[0], S.words);
    int error = errno;
    write_all(trouble, &error, sizeof error);
    _exit(CANNOT_EXECUTE);
}

static void keep_output(int fd)
{
    off_t size = lseek(fd, 0, SEEK_CUR); /* the child wrote through the same open file */
    char *text = malloc(OUTPUT_KEPT);
    ssize_t kept = text && size > 0 ? pread(fd, text, size < OUTPUT_KEPT ? (size_t)size : OUTPUT_KEPT, 0) : 0;
    struct output output = { text, size > 0 ? (size_t)size : 0, kept > 0 ? (size_t)kept : 0 };
    for (size_t i = 0; i < U.output_count; i++)
        if (U.outputs[i].size == output.size && !memcmp(U.outputs[i].text, text, output.kept)) { free(text); return; }
    if (U.output_count < MOST_OUTPUTS) U.outputs[U.output_count++] = output;
    else U.other_outputs++, free(text);
}

static void keep_trouble(int fd)
{
    off_t size = lseek(fd, 0, SEEK_CUR), from = size > 200 ? size - 200 : 0;
    char text[201];
    ssize_t got = size > 0 && !*U.trouble ? pread(fd, text, (size_t)(size - from), from) : 0;
    for (ssize_t i = 0; i < got; i++) snprintf(U.trouble + 2 * i, 3, "%02x", (unsigned char)text[i]);
}

static _Noreturn void refuse_missing(int error)
{
    char reason[400];
    if (error == ENOENT) {
        snprintf(reason, sizeof reason, "%.200s is not in this target", S.words[0]);
        for (char *c = reason; *c; c++) if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '?';
        not_applicable(reason);
    }
    errno = error;
    unsupported("the command cannot be executed");
}

/* Runs until its end, or until `look` has seen it to its end. */
static uint64_t start_once(int (*look)(pid_t pid, int *status))
{
    int streams[3] = { open("/dev/null", O_RDONLY | O_CLOEXEC), sealed_file(), sealed_file() }, trouble[2], status = 0, error = 0;
    if (streams[0] < 0) streams[0] = sealed_file(); /* a sandbox may have no /dev */
    if (pipe2(trouble, O_CLOEXEC)) die("pipe");
    fflush(NULL);
    uint64_t start = now_ns();
    pid_t pid = fork();
    if (pid == 0) become(streams, trouble[1], look != NULL);
    if (pid < 0) unsupported("fork");
    if (look ? look(pid, &status) : waitpid(pid, &status, 0) != pid) die("waitpid");
    uint64_t elapsed = now_ns() - start;
    close(trouble[1]);
    if (read(trouble[0], &error, sizeof error) == sizeof error) refuse_missing(error);
    if (!look) {
        keep_output(streams[1]);
        U.statuses[U.starts++] = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        if (!WIFEXITED(status) || WEXITSTATUS(status)) keep_trouble(streams[2]);
    }
    for (int i = 0; i < 3; i++) close(streams[i]);
    close(trouble[0]);
    return elapsed;
}

/* ---- which files it takes ---- */

static void add_file(const char *path)
{
    struct stat status;
    for (size_t i = 0; i < U.file_count; i++) if (!strcmp(U.files[i], path)) return;
    if (U.file_count == MOST_FILES || path[0] != '/' || stat(path, &status) || !S_ISREG(status.st_mode) || !status.st_size) return;
    if (!strncmp(path, "/proc/", 6) || !strncmp(path, "/sys/", 5) || !strncmp(path, "/dev/", 5)) return;
    if ((U.files[U.file_count] = strdup(path))) U.file_count++, U.file_bytes += (size_t)status.st_size;
}

static void add_mapped(pid_t pid)
{
    char name[64], line[PATH_MAX + 128];
    snprintf(name, sizeof name, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(name, "r");
    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/');
        line[strcspn(line, "\n")] = 0;
        if (path) add_file(path);
    }
    if (maps) fclose(maps);
}

static void add_opened(pid_t thread, int64_t fd)
{
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/%d/fd/%" PRId64, (int)thread, fd);
    ssize_t size = readlink(name, path, sizeof path - 1);
    if (size > 0) path[size] = 0, add_file(path);
}

static struct { pid_t thread; int opening; } threads[MOST_THREADS];

static int *opening(pid_t thread)
{
    static int lost;
    for (size_t i = 0; i < MOST_THREADS; i++) {
        if (!threads[i].thread) threads[i].thread = thread;
        if (threads[i].thread == thread) return &threads[i].opening;
    }
    return &lost;
}

static int is_open(uint64_t number)
{
#ifdef SYS_open
    if (number == SYS_open) return 1;
#endif
    return number == SYS_openat || number == SYS_openat2;
}

/* One stop of a traced thread; the signal that it is to get, -1 where the system does not tell. */
static int look_at(pid_t thread, int status)
{
    struct call call = { 0 };
    int event = status >> 16, caught = WSTOPSIG(status);
    if (event == PTRACE_EVENT_EXEC) add_mapped(thread);
    if (event == PTRACE_EVENT_EXIT) add_mapped(thread);
    if (event || caught == SIGSTOP) return 0;
    if (caught != (SIGTRAP | 0x80)) return caught == SIGTRAP ? 0 : caught;
    if (ptrace(REQUEST(PTRACE_GET_SYSCALL_INFO), thread, (void *)sizeof call, &call) < 1) return -1;
    if (call.op == CALL_ENTRY) *opening(thread) = is_open(call.number);
    else if (call.op == CALL_EXIT && *opening(thread) && !call.end.is_error) add_opened(thread, call.end.value);
    return 0;
}

static int look_at_start(pid_t pid, int *ended)
{
    const uintptr_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_TRACECLONE |
                              PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return -1;
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)options) || ptrace(PTRACE_SYSCALL, pid, NULL, NULL)) return -1;
    for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            if (thread == pid) { *ended = status; return 0; }
            continue;
        }
        int deliver = look_at(thread, status);
        if (deliver < 0) { /* it does not tell of calls, which shows at the first of them: then nothing is looked at */
            U.file_count = 0;
            ptrace(PTRACE_DETACH, thread, NULL, NULL);
            return waitpid(pid, ended, 0) == pid ? 0 : -1;
        }
        ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(uintptr_t)deliver);
    }
    return -1;
}

/* ---- cold ---- */

static int64_t pages_in_cache(int let_go)
{
    int64_t found = 0;
    for (size_t i = 0; i < U.file_count; i++) {
        struct stat status;
        int fd = open(U.files[i], O_RDONLY | O_CLOEXEC | O_NOATIME);
        if (fd < 0) fd = open(U.files[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status)) { if (fd >= 0) close(fd); return -1; }
        choose_way_to_see_cache(fd, (uint64_t)status.st_size);
        if (let_go) fdatasync(fd); /* what was just installed is not let go before it is written */
        for (int turn = 0; let_go && turn < 3 && resident_pages(fd, (uint64_t)status.st_size); turn++) evict(fd);
        int64_t here = resident_pages(fd, (uint64_t)status.st_size);
        close(fd);
        if (here < 0) continue; /* no way was found yet; another file may show one */
        found += here;
        if (let_go && here) { U.kept_file = U.files[i]; break; } /* the others are left to who else uses them */
    }
    return strcmp(way_to_see_cache(), "none") ? found : -1;
}

static int is_cold(void)
{
    if (U.kept_pages) return 0; /* once is enough: it will not let go the next time */
    if (!U.file_count) { U.kept_pages = -1; return 0; }
    if (U.cold_done == 0) (void)pages_in_cache(0); /* shows the way, so that the first file is looked at too */
    U.kept_pages = pages_in_cache(1);
    return U.kept_pages == 0;
}

static void startup_prepare(void)
{
    U.began_ns = now_ns();
    U.cold = S.cold, U.warm = S.fixed_iterations;
    if (!S.words || !S.words[0] || U.warm < 1 || U.warm + U.cold > MOST_STARTS) {
        fprintf(stderr, "probe: startup.command: --iterations N --cold N, up to 1000 together, and -- COMMAND...\n");
        exit(64);
    }
    U.found_by = "ptrace";
    if (U.cold) (void)start_once(look_at_start);
    if (!U.file_count) U.found_by = "nothing";
    (void)start_once(NULL);
    U.starts = 0, U.output_count = 0, U.other_outputs = 0; /* what a first start says may be that it was one */
}

static void startup_batch(uint64_t n)
{
    for (uint64_t i = 0; i < U.cold && is_cold(); i++) {
        U.elapsed_ns += U.cold_ns[U.cold_done++] = start_once(NULL);
        U.after_cold_pages = pages_in_cache(0);
    }
    if (U.cold) (void)start_once(NULL);
    for (uint64_t i = 0; i < n; i++) U.elapsed_ns += U.warm_ns[U.warm_done++] = start_once(NULL);
    S.own_elapsed_ns = U.elapsed_ns;
}

/* ---- evidence ---- */

static void list(const char *name, const uint64_t *values, uint64_t count)
{
    say("{\"line\":\"evidence\",\"name\":\"%s\",\"value\":\"", name);
    for (uint64_t i = 0; i < count; i++) say("%s%" PRIu64, i ? " " : "", values[i]);
    say("\"}\n");
}

static void report_output(size_t number)
{
    say("{\"line\":\"evidence\",\"name\":\"output.%zu\",\"value\":\"", number);
    for (size_t i = 0; i < U.outputs[number].kept; i++) say("%02x", (unsigned char)U.outputs[number].text[i]);
    say("\"}\n");
}

static void report_kept_file(void)
{
    char text[256];
    snprintf(text, sizeof text, "%.200s", U.kept_file ? U.kept_file : "none");
    for (char *c = text; *c; c++) if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '?';
    evidence_text("kept_file", text);
}

static void report_program(void)
{
    char folder[PATH_MAX] = "/";
    if (U.file_count) snprintf(folder, sizeof folder, "%s", U.files[0]), *strrchr(folder, '/') = 0;
    struct place place = place_of(*folder ? folder : "/");
    report_place(&place);
}

static void startup_finish(void)
{
    list("cold_ns", U.cold_ns, U.cold_done);
    list("warm_ns", U.warm_ns, U.warm_done);
    say("{\"line\":\"evidence\",\"name\":\"exit_statuses\",\"value\":\"");
    for (size_t i = 0; i < U.starts; i++) say("%s%d", i ? " " : "", U.statuses[i]);
    say("\"}\n");
    evidence("outputs", U.output_count + U.other_outputs);
    for (size_t i = 0; i < U.output_count; i++) report_output(i);
    evidence("output_bytes", U.output_count ? U.outputs[0].size : 0);
    if (*U.trouble) evidence_text("said_on_error", U.trouble);
    evidence("files", U.file_count);
    evidence("files_bytes", U.file_bytes);
    evidence_text("files_found_by", U.found_by);
    evidence_text("cache_seen_by", way_to_see_cache());
    evidence_count("resident_before_cold", U.kept_pages);
    evidence_count("resident_after_cold", U.after_cold_pages);
    report_kept_file();
    report_program();
    evidence("whole_ns", now_ns() - U.began_ns);
}

const struct benchmark STARTUP[] = {
    { "startup.command", startup_prepare, startup_batch, startup_finish, 1 },
    { 0 },
};
