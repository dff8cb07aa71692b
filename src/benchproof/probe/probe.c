static const char USAGE[] =
    "benchproof's probe: times one primitive operation and leaves evidence that the work was done.\n"
    "\n"
    "  probe bench NAME [--samples N] [--warmups N] [--sample-ns NS] [--budget-ns NS]\n"
    "                   [--iterations N] [--size BYTES] [--dir DIR]\n"
    "                   [--inject-ns NS] [--inject-instructions N]    slower on purpose, by so much an operation\n"
    "  probe facts                 what this system says of itself, one JSON line\n"
    "  probe wait NS               return after NS nanoseconds of the clock that times everything else\n"
    "  probe list                  the names that `bench` knows\n"
    "  probe symbols               standard input: ranges of kernel addresses, `LOW HIGH` in hex, ascending, one a\n"
    "                              line; prints `START NAME` of each function that has a part in one\n"
    "  probe supervise FD ARGV...  run ARGV; when FD (a pipe) closes, end it and all its descendants\n"
    "  probe settle                wait until the kernel has settled on its clock, at most 5 s\n"
    "  probe idle                  do nothing for ever, and reap orphans\n"
    "  probe stay FILE ARGV...     run ARGV with its output in FILE, say how it ended, then idle\n"
    "  probe cat [FILE [BYTES]] | save FILE | exit N | crash | hang | flood BYTES    self-tests of a target\n"
    "  (as process 1)              serve framed commands on /dev/ttyS1\n"
    "\n"
    "Output: JSON lines: begin, warmup..., sample..., evidence..., end. The last line counts and checksums\n"
    "what precedes it: no `end` line, no result. Samples are raw elapsed nanoseconds of `iterations`\n"
    "operations; there are no statistics here, and nothing is printed while anything is timed.\n"
    "Exit status: 0 measured, 64 usage, 69 the system lacks the operation, 70 something went wrong.\n";

#define _GNU_SOURCE
#include "probe.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define EXIT_UNSUPPORTED 69
#define MAX_SAMPLES 10000
#define NS_PER_S 1000000000ull
#define TMPFS_MAGIC 0x01021994
#define PAGE 4096u
#define CHUNK 4096u
#define FAULT_PAGES 256u          /* pages of one mapping in memory.mmap_fault: 1 MiB */
#define WAKE_NS 50000u            /* how far ahead timer.wake sets its deadline */
#define FILE_BYTES 4242u          /* size of the file that stat and open_close look at */
#define PARTNER_PATIENCE_S 10     /* a partner process that is silent for longer is lost */

static struct {
    const char *program;          /* our own path, for fork_exec */
    const char *dir;              /* where a tmpfs is looked for first; NULL: the usual places */
    uint64_t samples, warmups, sample_ns, budget_ns, fixed_iterations, size;
    const char *inject_text;      /* the delay as it was asked for; NULL: none */
    uint64_t inject_ps, inject_instructions;

    uint64_t injected_operations; /* those of the batches that were made slower */
    uint64_t lingered_ns;         /* what their delays took together */

    uint64_t operations;          /* executed so far, calibration and warm-up included */
    uint64_t failures;            /* operations whose result was not the expected one */
    uint64_t sum;                 /* what the operations returned or carried, added up */
    uint64_t own_elapsed_ns;      /* set by a benchmark whose time is not that of the loop */

    int fd, partner_fd, control_fd;
    pid_t partner;
    char path[256];
    unsigned char *source, *copy;
    struct shared { uint32_t turn; uint32_t token; uint64_t served; } *shared;
} S = { .samples = 40, .warmups = 5, .sample_ns = 2000000, .budget_ns = 10 * NS_PER_S };

static uint64_t warmup_ns[MAX_SAMPLES], sample_elapsed_ns[MAX_SAMPLES];

/* ---- output: buffered whole, so that nothing is written while anything is timed ---- */

static struct { char text[2 << 20]; size_t used; } out;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(out.text + out.used, sizeof out.text - out.used, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof out.text - out.used) die("output does not fit");
    out.used += (size_t)n;
}

static void evidence(const char *name, uint64_t value) { say("{\"line\":\"evidence\",\"name\":\"%s\",\"value\":\"%" PRIu64 "\"}\n", name, value); }
static void evidence_text(const char *name, const char *value) { say("{\"line\":\"evidence\",\"name\":\"%s\",\"value\":\"%s\"}\n", name, value); }

static _Noreturn void unsupported(const char *reason)
{
    int number = errno;
    printf("{\"line\":\"unsupported\",\"reason\":\"%s: %s\"}\n", reason, strerror(number));
    fflush(stdout);
    _exit(EXIT_UNSUPPORTED);
}

_Noreturn void die(const char *what)
{
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    _exit(70);
}

void write_all(int fd, const void *data, size_t size)
{
    for (const char *p = data; size;) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) die("write");
        p += n;
        size -= (size_t)n;
    }
}

uint32_t crc32_of(uint32_t crc, const void *data, size_t size)
{
    crc = ~crc;
    for (const unsigned char *p = data; size--;) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & -(crc & 1u));
    }
    return ~crc;
}

/* ---- the clock ---- */

static uint64_t now_ns(void)
{
    if (PLANTED == STOPPED_CLOCK) return 1;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
    return PLANTED == FAST_CLOCK ? ns * 10 : PLANTED == SLOW_CLOCK ? ns / 10 : ns;
}

/* The smallest step that the clock was seen to make: what it can resolve, whatever it promises. */
static uint64_t clock_step_ns(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 100; i++) {
        uint64_t start = now_ns(), next = start;
        for (int spins = 0; next == start && spins < 10000000; spins++) next = now_ns();
        if (next < start) { errno = 0; die("the clock runs backwards"); }
        if (next == start) { errno = 0; die("the clock does not advance"); }
        if (next - start < least) least = next - start;
    }
    return least;
}

/* Returns what it took: `ns` and the rest of one look at the clock. */
static uint64_t linger(uint64_t ns)
{
    uint64_t start = now_ns(), passed = 0;
    for (uint64_t turn = 0; (passed = now_ns() - start) < ns; turn++)
        if (turn > (1ull << 34)) { errno = 0; die("the clock does not advance"); }
    return passed;
}

/* On our own clock, whatever it counts: the host looks at its own meanwhile. */
static int wait_ns(uint64_t ns)
{
    (void)linger(ns);
    return 0;
}

static double clock_overhead_ns(void)
{
    enum { READS = 100 };
    uint64_t start = now_ns();
    for (int i = 0; i < READS; i++) (void)now_ns();
    return (double)(now_ns() - start) / (READS + 1);
}

static double loop_overhead_ns(void)
{
    enum { TURNS = 100000 };
    uint64_t start = now_ns();
    for (int i = 0; i < TURNS; i++) __asm__ volatile("" ::: "memory");
    return (double)(now_ns() - start) / TURNS;
}

/* ---- benchmarks: prepare, batch (the only timed part), finish (says what there is as evidence) ---- */

static pid_t fork_or_die(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0 && errno == ENOSYS) unsupported("fork");
    if (pid < 0) die("fork");
    if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static int exit_status_of(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid) die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* syscall.getpid: the raw system call; a libc may answer from memory without entering the kernel. */

static long getpid_operation(void)
{
    if (PLANTED == SKIP_WORK) {
        static long cached;
        if (!cached) cached = syscall(SYS_getpid);
        return cached;
    }
    return syscall(SYS_getpid) + (PLANTED == WRONG_ANSWER);
}

static void getpid_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        S.sum += (uint64_t)getpid_operation();
        if (PLANTED == EXTRA_NOP) __asm__ volatile("nop");
    }
}

/* Under a filter that refuses getpid, an operation that really enters the kernel comes back refused. */
static const char *getpid_enters_kernel(void)
{
    pid_t pid = fork_or_die();
    if (pid == 0) {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(2);
        errno = 0;
        long answer = getpid_operation();
        _exit((answer <= 0 && errno == EXDEV) ? 0 : 1);
    }
    int status = exit_status_of(pid);
    return status == 0 ? "yes" : status == 1 ? "no" : "unknown";
}

static void getpid_finish(void)
{
    int answer[2];
    pid_t told = 0;
    if (pipe(answer)) die("pipe");
    pid_t child = fork_or_die(); /* a child asks for its parent: our number by another way */
    if (child == 0) {
        pid_t parent = getppid();
        write_all(answer[1], &parent, sizeof parent);
        _exit(0);
    }
    if (read(answer[0], &told, sizeof told) != sizeof told) die("read");
    exit_status_of(child);
    evidence("pid", (uint64_t)told);
    evidence("pid_sum", S.sum);
    evidence_text("entered_kernel", getpid_enters_kernel());
}

/* syscall.read_null, syscall.write_null */

static void open_device(const char *path, int flags)
{
    if ((S.fd = open(path, flags)) < 0) unsupported(path);
}

static void device_evidence(void)
{
    struct stat status = { 0 };
    char device[32] = "none";
    if (fstat(S.fd, &status) == 0 && S_ISCHR(status.st_mode))
        snprintf(device, sizeof device, "%u:%u", major(status.st_rdev), minor(status.st_rdev));
    evidence_text("device", device);
    evidence("returned", S.sum);
}

static void read_null_prepare(void)
{
    open_device(PLANTED == WRONG_ANSWER ? "/dev/zero" : "/dev/null", O_RDONLY);
    if (PLANTED == SKIP_WORK) close(S.fd);
}

static void read_null_batch(uint64_t n)
{
    char byte;
    for (uint64_t i = 0; i < n; i++) {
        ssize_t got = read(S.fd, &byte, 1);
        S.failures += got != 0;
        S.sum += (uint64_t)got;
    }
}

static void write_null_prepare(void)
{
    open_device(PLANTED == WRONG_ANSWER ? "/dev/zero" : "/dev/null", O_WRONLY);
    if (PLANTED == SKIP_WORK) close(S.fd);
}

static void write_null_batch(uint64_t n)
{
    char byte = 'x';
    for (uint64_t i = 0; i < n; i++) {
        ssize_t put = write(S.fd, &byte, 1);
        S.failures += put != 1;
        S.sum += (uint64_t)put;
    }
}

/* syscall.stat, syscall.open_close: a file of known size and content on a tmpfs */

static void make_file(void)
{
    const char *places[] = { S.dir, getenv("BENCHPROOF_TMPFS"), "/dev/shm", "/tmp", "/run" };
    struct statfs fs;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!places[i] || statfs(places[i], &fs) || (uint32_t)fs.f_type != TMPFS_MAGIC) continue;
        if (chdir(places[i])) continue; /* a path of one component, wherever the tmpfs is */
        snprintf(S.path, sizeof S.path, "benchproof-probe-%d", (int)getpid());
        int fd = open(S.path, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (fd < 0) continue;
        char content[FILE_BYTES];
        memset(content, 'b', sizeof content);
        write_all(fd, content, sizeof content - (PLANTED == WRONG_ANSWER));
        close(fd);
        return;
    }
    errno = ENOENT;
    unsupported("no writable tmpfs at /dev/shm, /tmp or /run");
}

static void stat_prepare(void)
{
    make_file();
    if (PLANTED == SKIP_WORK) unlink(S.path);
}

static void stat_batch(uint64_t n)
{
    struct stat status = { 0 };
    for (uint64_t i = 0; i < n; i++) {
        S.failures += stat(S.path, &status) != 0;
        S.sum += (uint64_t)status.st_size;
    }
}

static void stat_finish(void)
{
    unlink(S.path);
    evidence("size_sum", S.sum);
}

static void open_close_prepare(void)
{
    make_file();
    if ((S.fd = open("/dev/null", O_RDONLY)) < 0) die("/dev/null");
    close(S.fd); /* S.fd: the number that every open must get */
    if (PLANTED == SKIP_WORK) unlink(S.path);
}

static void open_close_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        int fd = open(S.path, O_RDONLY);
        S.failures += fd != S.fd;
        S.failures += close(fd) != 0;
    }
}

static void open_close_finish(void)
{
    char content[FILE_BYTES + 1] = "";
    int fd = open(S.path, O_RDONLY);
    ssize_t size = fd < 0 ? 0 : read(fd, content, sizeof content);
    unlink(S.path);
    evidence("descriptors_left_open", (uint64_t)(fd < 0 ? 0 : fd - S.fd));
    evidence("content_crc32", crc32_of(0, content, size > 0 ? (size_t)size : 0));
}

/* ipc.pipe: another process writes numbered 4 KiB chunks, this one reads and adds up every word */

static void fill_chunk(uint64_t *chunk)
{
    for (uint64_t i = 0; i < CHUNK / 8; i++) chunk[i] = (i + 1) * 0x9E3779B97F4A7C15ull;
}

static _Noreturn void pipe_writer(int control, int data)
{
    uint64_t chunk[CHUNK / 8], number = 0, n;
    fill_chunk(chunk);
    while (read(control, &n, sizeof n) == (ssize_t)sizeof n)
        for (uint64_t i = 0; i < n; i++) {
            if (PLANTED == SKIP_WORK && number == 1) _exit(0);
            chunk[0] = number++;
            if (PLANTED == WRONG_ANSWER && number == 1) ((char *)chunk)[1000] ^= 1;
            write_all(data, chunk, sizeof chunk);
        }
    _exit(0);
}

static void pipe_prepare(void)
{
    int data[2], control[2];
    if (pipe(data) || pipe(control)) unsupported("pipe");
    if ((S.partner = fork_or_die()) == 0) {
        close(data[0]), close(control[1]);
        pipe_writer(control[0], data[1]);
    }
    close(data[1]), close(control[0]);
    S.fd = data[0], S.control_fd = control[1];
}

static int read_whole(int fd, void *buffer, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = read(fd, (char *)buffer + got, size - got);
        if (n <= 0) return -1;
        got += (size_t)n;
    }
    return 0;
}

static void pipe_batch(uint64_t n)
{
    uint64_t chunk[CHUNK / 8];
    write_all(S.control_fd, &n, sizeof n);
    for (uint64_t i = 0; i < n; i++) {
        if (read_whole(S.fd, chunk, sizeof chunk)) { S.failures += n - i; return; }
        for (size_t word = 0; word < CHUNK / 8; word++) S.sum += chunk[word];
    }
}

static void pipe_finish(void)
{
    close(S.control_fd);
    evidence("word_sum", S.sum);
    evidence("writer_exit_status", (uint64_t)exit_status_of(S.partner));
}

/* ipc.*_pingpong: the partner adds one to each token; one operation is one round trip */

static uint64_t answer_to(uint64_t token) { return token + (PLANTED == WRONG_ANSWER ? 2 : 1); }

static _Noreturn void echo_partner(int in, int out)
{
    uint64_t token;
    for (S.shared->served = 0; read_whole(in, &token, sizeof token) == 0; S.shared->served++) {
        if (PLANTED == SKIP_WORK && S.shared->served == 1) _exit(0);
        token = answer_to(token);
        write_all(out, &token, sizeof token);
    }
    _exit(0);
}

static void share_page(void)
{
    S.shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (S.shared == MAP_FAILED) unsupported("shared anonymous mapping");
}

/* ours: our two ends (read, write); theirs: the partner's */
static void start_echo(int ours[2], int theirs[2])
{
    signal(SIGPIPE, SIG_IGN);
    if ((S.partner = fork_or_die()) == 0) {
        close(ours[0]);
        if (ours[1] != ours[0]) close(ours[1]);
        echo_partner(theirs[0], theirs[1]);
    }
    close(theirs[0]);
    if (theirs[1] != theirs[0]) close(theirs[1]);
    S.fd = ours[0], S.partner_fd = ours[1];
}

static void pipe_pingpong_prepare(void)
{
    int there[2], back[2];
    share_page();
    if (pipe(there) || pipe(back)) unsupported("pipe");
    start_echo((int[2]){ back[0], there[1] }, (int[2]){ there[0], back[1] });
}

static void unix_pingpong_prepare(void)
{
    int ends[2];
    share_page();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) unsupported("socketpair(AF_UNIX)");
    start_echo((int[2]){ ends[0], ends[0] }, (int[2]){ ends[1], ends[1] });
}

static void echo_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t token = S.sum, answer = 0;
        if (write(S.partner_fd, &token, sizeof token) != (ssize_t)sizeof token) { S.failures += n - i; return; }
        if (read_whole(S.fd, &answer, sizeof answer)) { S.failures += n - i; return; }
        S.failures += answer != token + 1;
        S.sum++;
    }
}

static void pingpong_evidence(void)
{
    evidence("partner_exit_status", (uint64_t)exit_status_of(S.partner));
    evidence("round_trips", S.sum);
    evidence("partner_served", S.shared->served);
}

static void echo_finish(void)
{
    close(S.fd);
    if (S.partner_fd != S.fd) close(S.partner_fd);
    pingpong_evidence();
}

enum { OUR_TURN = 0, THEIR_TURN = 1, OVER = 2 };

static long futex(uint32_t *word, int operation, uint32_t value)
{
    struct timespec patience = { .tv_sec = PARTNER_PATIENCE_S };
    return syscall(SYS_futex, word, operation, value, operation == FUTEX_WAIT ? &patience : NULL, NULL, 0);
}

static void pass_turn(uint32_t to)
{
    __atomic_store_n(&S.shared->turn, to, __ATOMIC_SEQ_CST);
    futex(&S.shared->turn, FUTEX_WAKE, 1);
}

/* Returns the turn that came, or `not_this` when the partner let our patience run out. */
static uint32_t await_turn(uint32_t not_this)
{
    uint32_t turn;
    while ((turn = __atomic_load_n(&S.shared->turn, __ATOMIC_SEQ_CST)) == not_this)
        if (futex(&S.shared->turn, FUTEX_WAIT, not_this) && errno != EAGAIN && errno != EINTR) return not_this;
    return turn;
}

static void futex_pingpong_prepare(void)
{
    share_page();
    if (futex(&S.shared->turn, FUTEX_WAKE, 1) < 0) unsupported("futex");
    if ((S.partner = fork_or_die()) == 0) {
        while (await_turn(OUR_TURN) == THEIR_TURN) {
            if (PLANTED == SKIP_WORK && S.shared->served == 1) { S.shared->turn = OVER; _exit(1); }
            S.shared->token = (uint32_t)answer_to(S.shared->token);
            S.shared->served++;
            pass_turn(OUR_TURN);
        }
        _exit(0);
    }
}

static void futex_pingpong_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t token = S.shared->token = (uint32_t)S.sum;
        pass_turn(THEIR_TURN);
        if (await_turn(THEIR_TURN) != OUR_TURN) { S.failures += n - i; return; }
        S.failures += S.shared->token != token + 1;
        S.sum++;
    }
}

static void futex_pingpong_finish(void)
{
    pass_turn(OVER);
    pingpong_evidence();
}

/* process.*: each child ends with a status that nothing but the work could give; S.sum counts those that did */

static int next_token(void) { return (int)(S.sum % 100) + 1; }

static void count_child(pid_t pid, int expected_status)
{
    int status = 0;
    int as_expected = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == expected_status;
    S.sum += (uint64_t)as_expected;
    S.failures += !as_expected;
}

static void fork_exit_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        pid_t pid = PLANTED == SKIP_WORK ? -1 : fork();
        if (pid == 0) _exit(PLANTED == WRONG_ANSWER ? 0 : next_token());
        count_child(pid, next_token());
    }
}

static void fork_exec_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        char token[16];
        snprintf(token, sizeof token, "%d", PLANTED == WRONG_ANSWER ? 0 : next_token());
        char *arguments[] = { (char *)(uintptr_t)S.program, "exit", token, NULL };
        char *environment[] = { NULL };
        pid_t pid = fork();
        if (pid == 0) {
            execve(PLANTED == SKIP_WORK ? "/nowhere" : S.program, arguments, environment);
            _exit(127);
        }
        count_child(pid, next_token());
    }
}

static void *thread_body(void *number) { return (void *)((uintptr_t)number + (PLANTED == WRONG_ANSWER ? 2 : 1)); }

static void thread_create_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        pthread_t thread;
        void *answer = NULL;
        int error = PLANTED == SKIP_WORK ? EAGAIN : pthread_create(&thread, NULL, thread_body, (void *)(uintptr_t)i);
        int as_expected = !error && !pthread_join(thread, &answer) && (uintptr_t)answer == i + 1;
        S.sum += (uint64_t)as_expected;
        S.failures += !as_expected;
    }
}

static void children_finish(void) { evidence("children_verified", S.sum); }
static void threads_finish(void) { evidence("threads_verified", S.sum); }

/* memory.mmap_fault: map 1 MiB, touch every page, unmap; one operation is one page */

static volatile uint64_t *word_of_page(uint64_t page) { return (volatile uint64_t *)(void *)(S.source + page * PAGE); }

static void mmap_fault_batch(uint64_t n)
{
    for (uint64_t done = 0; done < n; done += FAULT_PAGES) {
        if (S.source) S.failures += munmap(S.source, FAULT_PAGES * PAGE) != 0;
        S.source = mmap(NULL, FAULT_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (S.source == MAP_FAILED) { S.source = NULL; S.failures += n - done; return; }
        madvise(S.source, FAULT_PAGES * PAGE, MADV_NOHUGEPAGE);
        for (uint64_t page = 0; page < FAULT_PAGES; page++) {
            volatile uint64_t *word = word_of_page(page);
            if (PLANTED != SKIP_WORK || page != FAULT_PAGES / 2) *word = page + (PLANTED == WRONG_ANSWER ? 2 : 1);
            S.failures += word[1] != 0; /* the rest of a fresh page is zero; reading it first would be a second fault */
        }
    }
}

static void mmap_fault_finish(void)
{
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    mmap_fault_batch(FAULT_PAGES); /* one whole mapping more: its contents are read back, its faults counted */
    getrusage(RUSAGE_SELF, &after);
    S.operations += FAULT_PAGES;
    uint64_t sum = 0;
    for (uint64_t page = 0; S.source && page < FAULT_PAGES; page++) sum += *word_of_page(page);
    evidence("page_word_sum", sum);
    evidence("faults_per_mapping", (uint64_t)(after.ru_minflt - before.ru_minflt)); /* 0 where a kernel does not count */
}

/* memory.mprotect: one page, read-only and back; one operation is one call */

static sigjmp_buf fault_jump;
static void on_fault(int signal_number) { (void)signal_number; siglongjmp(fault_jump, 1); }

static int page_is_writable(void)
{
    struct sigaction action = { .sa_handler = on_fault }, old;
    sigaction(SIGSEGV, &action, &old);
    volatile int writable = 0;
    if (sigsetjmp(fault_jump, 1) == 0) {
        *word_of_page(0) = 1;
        writable = 1;
    }
    sigaction(SIGSEGV, &old, NULL);
    return writable;
}

static void mprotect_prepare(void)
{
    S.source = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (S.source == MAP_FAILED) unsupported("mmap");
    *word_of_page(0) = 1;
}

static void set_read_only(int read_only)
{
    void *page = PLANTED == WRONG_ANSWER ? (void *)(S.source + 1) : (void *)S.source;
    int protection = read_only && PLANTED != SKIP_WORK ? PROT_READ : PROT_READ | PROT_WRITE;
    S.failures += mprotect(page, PAGE, protection) != 0;
}

static void mprotect_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) set_read_only(i % 2 == 0);
}

static void mprotect_finish(void)
{
    set_read_only(1);
    evidence("writable_when_read_only", (uint64_t)page_is_writable());
    set_read_only(0);
    evidence("writable_when_writable", (uint64_t)page_is_writable());
    S.operations += 2;
}

/* memory.memcpy: `size` bytes; each copy carries its own number at both ends */

static void memcpy_prepare(void)
{
    S.source = malloc(S.size), S.copy = malloc(S.size);
    if (!S.source || !S.copy) unsupported("malloc");
    for (uint64_t i = 0; i < S.size; i++) S.source[i] = (unsigned char)(i * 7 + (i >> 8));
    memset(S.copy, 0, S.size);
}

static void memcpy_batch(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t first, last, number = S.sum + 1;
        memcpy(S.source, &number, 8);
        memcpy(S.source + S.size - 8, &number, 8);
        __asm__ volatile("" ::: "memory");
        if (PLANTED != SKIP_WORK || S.sum % 2 == 0) memcpy(S.copy, S.source, S.size);
        __asm__ volatile("" ::: "memory");
        memcpy(&first, S.copy, 8);
        memcpy(&last, S.copy + S.size - 8, 8);
        S.failures += first != number || last != number;
        S.sum++;
    }
}

static void memcpy_finish(void)
{
    if (PLANTED == WRONG_ANSWER) S.copy[S.size / 2] ^= 1;
    evidence("copies", S.sum);
    evidence("body_crc32", crc32_of(0, S.copy + 8, S.size - 16));
}

/* timer.wake: sleep until a deadline; the time of an operation is how late it woke */

static void timer_wake_prepare(void) { prctl(PR_SET_TIMERSLACK, 1); }

static void timer_wake_batch(uint64_t n)
{
    S.own_elapsed_ns = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t deadline = now_ns() + WAKE_NS;
        struct timespec until = { (time_t)(deadline / NS_PER_S), (long)(deadline % NS_PER_S) };
        if (PLANTED == WRONG_ANSWER) until.tv_nsec = -1;
        int error = PLANTED == SKIP_WORK ? 0 : clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        uint64_t woke = now_ns();
        S.failures += error != 0;
        if (woke < deadline) S.sum++;
        else S.own_elapsed_ns += woke - deadline;
    }
}

static void timer_wake_finish(void) { evidence("woke_early", S.sum); }

static void nothing(void) {}

static const struct benchmark {
    const char *name;
    void (*prepare)(void);
    void (*batch)(uint64_t iterations);
    void (*finish)(void);
    uint64_t granule; /* a batch is a multiple of as many operations, so that all batches do the same work */
} BENCHMARKS[] = {
    { "syscall.getpid", nothing, getpid_batch, getpid_finish, 1 },
    { "syscall.read_null", read_null_prepare, read_null_batch, device_evidence, 1 },
    { "syscall.write_null", write_null_prepare, write_null_batch, device_evidence, 1 },
    { "syscall.stat", stat_prepare, stat_batch, stat_finish, 1 },
    { "syscall.open_close", open_close_prepare, open_close_batch, open_close_finish, 1 },
    { "ipc.pipe", pipe_prepare, pipe_batch, pipe_finish, 1 },
    { "ipc.pipe_pingpong", pipe_pingpong_prepare, echo_batch, echo_finish, 1 },
    { "ipc.unix_pingpong", unix_pingpong_prepare, echo_batch, echo_finish, 1 },
    { "ipc.futex_pingpong", futex_pingpong_prepare, futex_pingpong_batch, futex_pingpong_finish, 1 },
    { "process.fork_exit", nothing, fork_exit_batch, children_finish, 1 },
    { "process.fork_exec", nothing, fork_exec_batch, children_finish, 1 },
    { "process.thread_create", nothing, thread_create_batch, threads_finish, 1 },
    { "memory.mmap_fault", nothing, mmap_fault_batch, mmap_fault_finish, FAULT_PAGES },
    { "memory.mprotect", mprotect_prepare, mprotect_batch, mprotect_finish, 2 },
    { "memory.memcpy", memcpy_prepare, memcpy_batch, memcpy_finish, 1 },
    { "timer.wake", timer_wake_prepare, timer_wake_batch, timer_wake_finish, 1 },
};
enum { BENCHMARK_COUNT = sizeof BENCHMARKS / sizeof *BENCHMARKS };

/* ---- measuring one benchmark ---- */

static uint64_t whole_batches(const struct benchmark *benchmark, uint64_t n)
{
    return (n + benchmark->granule - 1) / benchmark->granule * benchmark->granule;
}

/* Who traces the instructions of this program finds the batches by this function: from one call of it to the next is
   what the clock counts. */
static __attribute__((noinline)) uint64_t batch_clock(void) { return now_ns(); }

/* Five instructions and `n` more, for n = 0 too: two a turn, and where n is odd, the `nop` less that the turns are more. */
static inline void execute(uint64_t n)
{
    uint64_t left = n + 2;
#if defined(__x86_64__)
    __asm__ volatile("testb $1, %b0\n\tjnz 1f\n\tnop\n1:\tsubq $2, %0\n\tjg 1b" : "+q"(left) : : "cc");
#elif defined(__aarch64__)
    __asm__ volatile("tst %0, #1\n\tb.ne 1f\n\tnop\n1:\tsubs %0, %0, #2\n\tb.gt 1b" : "+r"(left) : : "cc");
#elif defined(__riscv)
    uint64_t odd;
    __asm__ volatile("andi %1, %0, 1\n\tbnez %1, 1f\n\tnop\n1:\taddi %0, %0, -2\n\tbgtz %0, 1b" : "+r"(left), "=&r"(odd));
#else
    if (n) { errno = ENOSYS; unsupported("a counted chain of instructions on this processor"); }
    (void)left;
#endif
}

/* What is injected is inside: a batch is followed by one delay, by the clock, and one chain of instructions for all its
   operations together, so that the clock is not read for each. Without them both are still there, and empty. */
static __attribute__((noinline)) uint64_t timed(const struct benchmark *benchmark, uint64_t iterations, uint64_t *wall_ns)
{
    uint64_t chain = iterations * S.inject_instructions, lingered_ns = 0;
    uint64_t delay_ns = (uint64_t)(((unsigned __int128)iterations * S.inject_ps + 999) / 1000);
    S.own_elapsed_ns = UINT64_MAX;
    uint64_t start = batch_clock();
    benchmark->batch(iterations);
    execute(chain);
    if (delay_ns && PLANTED != NO_DELAY) lingered_ns = linger(delay_ns);
    uint64_t elapsed = batch_clock() - start;
    S.operations += iterations;
    S.injected_operations += iterations;
    S.lingered_ns += lingered_ns;
    *wall_ns += elapsed;
    return S.own_elapsed_ns == UINT64_MAX ? elapsed : S.own_elapsed_ns + lingered_ns;
}

/* Iterations that fill `goal_ns`; gives up growing when the budget's quarter is spent on trying. */
static uint64_t calibrate(const struct benchmark *benchmark, uint64_t goal_ns, uint64_t *wall_ns)
{
    uint64_t n = whole_batches(benchmark, 1);
    for (;;) {
        uint64_t before = *wall_ns;
        (void)timed(benchmark, n, wall_ns);
        uint64_t elapsed = *wall_ns - before;
        if (elapsed >= goal_ns || *wall_ns > S.budget_ns / 4 || S.failures) return n;
        if (n > (1ull << 32)) { errno = 0; die("the clock does not advance"); }
        uint64_t wanted = elapsed ? n * goal_ns / elapsed + 1 : n * 100;
        n = whole_batches(benchmark, wanted > n * 100 ? n * 100 : wanted > n ? wanted : n + 1);
    }
}

/* The declared authority of every benchmark: no capability, no way to gain one. What it really was is reported. */
static void drop_authority(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
    if (PLANTED == WIDE_AUTHORITY) return;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    syscall(SYS_capset, &header, none);
}

static void report_authority(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct has[2] = { { ~0u, ~0u, ~0u }, { ~0u, ~0u, ~0u } };
    syscall(SYS_capget, &header, has);
    char capabilities[32];
    snprintf(capabilities, sizeof capabilities, "%08x%08x", has[1].effective | has[1].permitted, has[0].effective | has[0].permitted);
    evidence_text("authority.capabilities", capabilities);
    evidence("authority.no_new_privileges", (uint64_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    evidence("authority.uid", (uint64_t)getuid());
}

static void report_injection(void)
{
    if (S.inject_text) {
        evidence_text("injected_ns", S.inject_text);
        evidence("lingered_ns", S.lingered_ns);
    }
    if (S.inject_instructions) evidence("injected_instructions", S.inject_instructions);
    if (S.inject_text || S.inject_instructions) evidence("injected_operations", S.injected_operations);
}

static int bench(const struct benchmark *benchmark)
{
    drop_authority();
    uint64_t wall_ns = 0, step_ns = clock_step_ns();
    uint64_t goal_ns = S.sample_ns > 1000 * step_ns ? S.sample_ns : 1000 * step_ns;
    say("{\"line\":\"begin\",\"probe\":%d,\"benchmark\":\"%s\",\"clock_step_ns\":%" PRIu64 ",\"clock_overhead_ns\":%.3f,\"loop_overhead_ns\":%.3f",
        PROBE_VERSION, benchmark->name, step_ns, clock_overhead_ns(), loop_overhead_ns());

    benchmark->prepare();
    uint64_t n = S.fixed_iterations ? whole_batches(benchmark, S.fixed_iterations) : calibrate(benchmark, goal_ns, &wall_ns);
    uint64_t warmups = 0, samples = 0;
    while (warmups < S.warmups && (warmups == 0 || wall_ns < S.budget_ns / 2) && !S.failures)
        warmup_ns[warmups++] = timed(benchmark, n, &wall_ns);
    while (samples < S.samples && (samples == 0 || wall_ns < S.budget_ns) && !S.failures)
        sample_elapsed_ns[samples++] = timed(benchmark, n, &wall_ns);

    say(",\"iterations\":%" PRIu64 "}\n", n);
    for (uint64_t i = 0; i < warmups; i++) say("{\"line\":\"warmup\",\"elapsed_ns\":%" PRIu64 "}\n", warmup_ns[i]);
    for (uint64_t i = 0; i < samples; i++) say("{\"line\":\"sample\",\"elapsed_ns\":%" PRIu64 "}\n", sample_elapsed_ns[i]);
    benchmark->finish();
    report_authority();
    report_injection();
    say("{\"line\":\"end\",\"warmups\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"operations\":%" PRIu64 ",\"failures\":%" PRIu64
        ",\"wall_ns\":%" PRIu64 ",\"crc32\":%" PRIu32 "}\n",
        warmups, samples, S.operations, S.failures, wall_ns, crc32_of(0, out.text, out.used));
    write_all(1, out.text, out.used);
    return 0;
}

/* ---- what the system says of itself ---- */

static void first_line_with(const char *path, const char *key, char *value, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "r");
    value[0] = 0;
    while (file && !value[0] && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key))) continue;
        char *start = line + strlen(key);
        start += strspn(start, "\t :");
        start[strcspn(start, "\n")] = 0;
        for (char *c = start; *c; c++)
            if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '?';
        snprintf(value, size, "%s", start);
    }
    if (file) fclose(file);
}

/* The processor's own words: a sandbox's /proc/cpuinfo need not repeat them. */
static void cpu_name(char *name, size_t size)
{
#if defined(__x86_64__)
    unsigned words[13] = { 0 };
    int known = 1;
    for (unsigned i = 0; i < 3; i++)
        known &= __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    if (known) { snprintf(name, size, "%s", (const char *)words + strspn((const char *)words, " ")); return; }
#endif
    first_line_with("/proc/cpuinfo", "model name", name, size);
}

static int facts(void)
{
    struct utsname u;
    cpu_set_t cpus;
    char cpu[256], clock[64], filters[32];
    CPU_ZERO(&cpus);
    if (uname(&u) || sched_getaffinity(0, sizeof cpus, &cpus)) die("facts");
    cpu_name(cpu, sizeof cpu);
    first_line_with("/sys/devices/system/clocksource/clocksource0/current_clocksource", "", clock, sizeof clock);
    first_line_with("/proc/self/status", "Seccomp_filters", filters, sizeof filters);
    printf("{\"os\":\"%s\",\"kernel\":\"%s\",\"kernel_build\":\"%s\",\"architecture\":\"%s\",\"cpu\":\"%s\",\"cpus\":\"%d\","
           "\"clock_source\":\"%s\",\"page_bytes\":\"%ld\",\"seccomp_filters\":\"%s\"}\n",
           u.sysname, u.release, u.version, u.machine, cpu, CPU_COUNT(&cpus), clock, sysconf(_SC_PAGESIZE), *filters ? filters : "0");
    return 0;
}

/* One pass over /proc/kallsyms, which is not sorted where modules begin: what starts within a range is printed at once,
   the last one to start before a range at the end. */
static int symbols(void)
{
    enum { RANGES = 8192 };
    struct range { uint64_t low, high, start; char before[256]; } *ranges = calloc(RANGES, sizeof *ranges);
    size_t count = 0;
    if (!ranges) die("symbols"); /* not static: what is forked and executed here must stay small */
    while (count < RANGES && scanf("%" SCNx64 " %" SCNx64, &ranges[count].low, &ranges[count].high) == 2) count++;
    FILE *file = fopen("/proc/kallsyms", "r");
    if (!file) die("/proc/kallsyms");
    for (char line[512]; fgets(line, sizeof line, file);) {
        char *end;
        uint64_t start = strtoull(line, &end, 16);
        if (end[0] != ' ' || !strchr("tTwW", end[1]) || end[2] != ' ') continue;
        size_t first = 0; /* range that does not end before `start` */
        for (size_t beyond = count; first < beyond;) {
            size_t middle = (first + beyond) / 2;
            if (ranges[middle].high < start) first = middle + 1;
            else beyond = middle;
        }
        if (first == count) continue;
        struct range *range = &ranges[first];
        end[3 + strcspn(end + 3, "\n")] = 0;
        if (start > range->low) printf("%016" PRIx64 " %s\n", start, end + 3);
        else if (start > range->start) range->start = start, snprintf(range->before, sizeof range->before, "%s", end + 3);
    }
    fclose(file);
    for (size_t i = 0; i < count; i++)
        if (ranges[i].start) printf("%016" PRIx64 " %s\n", ranges[i].start, ranges[i].before);
    free(ranges);
    return 0;
}

/* ---- arguments ---- */

static uint64_t number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;
    if (!text || errno || *end || end == text || *text == '-') {
        fprintf(stderr, "probe: %s: expected a whole number, found '%s'\n", option, text ? text : "nothing");
        exit(EXIT_USAGE);
    }
    return value;
}

/* Nanoseconds with up to three decimals, as picoseconds. */
static uint64_t picoseconds(const char *option, const char *text)
{
    size_t whole = text ? strspn(text, "0123456789") : 0;
    size_t decimals = whole && text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    uint64_t value = 0;
    if (!whole || whole > 10 || decimals > 3 || text[whole + (decimals ? decimals + 1 : 0)]) {
        fprintf(stderr, "probe: %s: expected nanoseconds with up to three decimals, found '%s'\n", option, text ? text : "nothing");
        exit(EXIT_USAGE);
    }
    for (size_t i = 0; i < whole; i++) value = value * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 1; i <= 3; i++) value = value * 10 + (i <= decimals ? (uint64_t)(text[whole + i] - '0') : 0);
    return value;
}

static void parse_options(int argc, char **argv)
{
    for (int i = 0; i < argc; i += 2) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(option, "--dir")) { S.dir = value; continue; }
        if (!strcmp(option, "--inject-ns")) { S.inject_ps = picoseconds(option, S.inject_text = value); continue; }
        uint64_t *field = !strcmp(option, "--samples")      ? &S.samples
                          : !strcmp(option, "--warmups")    ? &S.warmups
                          : !strcmp(option, "--sample-ns")  ? &S.sample_ns
                          : !strcmp(option, "--budget-ns")  ? &S.budget_ns
                          : !strcmp(option, "--iterations") ? &S.fixed_iterations
                          : !strcmp(option, "--size")       ? &S.size
                          : !strcmp(option, "--inject-instructions") ? &S.inject_instructions
                                                                     : NULL;
        if (!field) {
            fprintf(stderr, "probe: unknown option '%s'\n%s", option, USAGE);
            exit(EXIT_USAGE);
        }
        *field = number(option, value);
    }
    if (!S.samples || S.samples > MAX_SAMPLES || S.warmups > MAX_SAMPLES) {
        fprintf(stderr, "probe: --samples is 1 to %d and --warmups 0 to %d\n", MAX_SAMPLES, MAX_SAMPLES);
        exit(EXIT_USAGE);
    }
    if (S.inject_ps > 1000 * NS_PER_S || S.inject_instructions > 1000000000u) {
        fprintf(stderr, "probe: --inject-ns is at most 1000000000 and --inject-instructions at most 1000000000\n");
        exit(EXIT_USAGE);
    }
    if (S.size && (S.size < 64 || S.size > 1ull << 32)) {
        fprintf(stderr, "probe: --size is 64 to 4294967296 bytes\n");
        exit(EXIT_USAGE);
    }
    if (!S.size) S.size = 1 << 20;
}

int main(int argc, char **argv)
{
    S.program = argv[0];
    if (getpid() == 1 && !strcmp(argv[0], "/init")) return serve_as_init(); /* a kernel adds the words it did not know */
    const char *command = argc > 1 ? argv[1] : "";
    if (!strcmp(command, "supervise") && argc > 3) return supervise((int)number("FD", argv[2]), argv + 3);
    if (!strcmp(command, "facts")) return facts();
    if (!strcmp(command, "symbols")) return symbols();
    if (!strcmp(command, "list")) {
        for (int i = 0; i < BENCHMARK_COUNT; i++) puts(BENCHMARKS[i].name);
        return 0;
    }
    if (!strcmp(command, "bench") && argc > 2) {
        parse_options(argc - 3, argv + 3);
        for (int i = 0; i < BENCHMARK_COUNT; i++)
            if (!strcmp(BENCHMARKS[i].name, argv[2])) return bench(&BENCHMARKS[i]);
        fprintf(stderr, "probe: unknown benchmark '%s'; `probe list` names them\n", argv[2]);
        return EXIT_USAGE;
    }
    if (!strcmp(command, "wait") && argc == 3) return wait_ns(number("NS", argv[2]));
    int status = self_test(argc - 1, argv + 1);
    if (status >= 0) return status;
    fputs(USAGE, stderr);
    return EXIT_USAGE;
}
