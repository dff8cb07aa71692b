/* Tier 0: does this system do at all what the benchmarks are about to time? Nothing is timed here. Each smoke runs in a
   child of its own, so that one that crashes or hangs takes no other with it, and leaves evidence, not a verdict. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, WORD_LIMIT = 128, CONTENT_BYTES = 64 << 10, EXIT_TOKEN = 37, SOMEONE_ELSE = 65533 };
enum { WAITERS = 3, WAIT_NS = 2000000 };

static const char *word; /* random, from the host: what comes back with it was made now */

static const char *name_of(int number)
{
    static const struct { int number; const char *name; } KNOWN[] = {
        { 0, "none" }, { EPERM, "EPERM" }, { EACCES, "EACCES" }, { ENOENT, "ENOENT" }, { ENOEXEC, "ENOEXEC" }, { EBADF, "EBADF" },
        { EPIPE, "EPIPE" }, { ETIMEDOUT, "ETIMEDOUT" }, { EAGAIN, "EAGAIN" }, { ENOSYS, "ENOSYS" }, { EAFNOSUPPORT, "EAFNOSUPPORT" },
        { EPROTONOSUPPORT, "EPROTONOSUPPORT" }, { ENODEV, "ENODEV" }, { EINVAL, "EINVAL" }, { ESRCH, "ESRCH" }, { EROFS, "EROFS" },
    };
    static char other[32];
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (KNOWN[i].number == number) return KNOWN[i].name;
    snprintf(other, sizeof other, "error %d", number);
    return other;
}

/* What a call said that gives a negative number for "no". */
static const char *answer_of(long result) { return name_of(result < 0 ? errno : 0); }

/* ---- a folder of our own, for files that come and go ---- */

static char folder[64];

static void make_folder(void)
{
    static const char *const places[] = { ".", "/tmp", "/dev/shm", "/run" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(folder, sizeof folder, "%s/benchproof-smoke-%d", places[i], (int)getpid());
        if (mkdir(folder, 0700) == 0) return;
    }
    unsupported("no folder that can be written to");
}

static const char *inside(const char *name)
{
    static char path[2][128];
    static int turn;
    snprintf(path[turn ^= 1], sizeof path[0], "%s/%s", folder, name);
    return path[turn];
}

/* ---- smoke.boot ---- */

static void boot(void)
{
    evidence_text("word", PLANTED == SKIP_WORK ? "0000" : word);
    evidence("crc32", crc32_of(0, word, strlen(word)) + (PLANTED == WRONG_ANSWER));
}

/* ---- smoke.process ---- */

struct child { pid_t pid; int in, out; };

static struct child spawn(const char *path, const char *first, const char *second)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) unsupported("pipe2");
    pid_t pid = fork_or_die();
    if (pid == 0) {
        char *words[] = { (char *)(uintptr_t)path, (char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL };
        char *environment[] = { NULL };
        dup2(in[0], 0), dup2(out[1], 1);
        execve(path, words, environment);
        dprintf(1, "%s", name_of(errno));
        _exit(127);
    }
    close(in[0]), close(out[1]);
    return (struct child){ pid, in[1], out[0] };
}

static int end_of(struct child child, char *text, size_t size)
{
    size_t got = 0;
    close(child.in);
    for (ssize_t n; got < size - 1 && (n = read(child.out, text + got, size - 1 - got)) > 0;) got += (size_t)n;
    close(child.out);
    for (text[got] = 0; *text; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ' || (unsigned char)*text > '~') *text = '?';
    return exit_status_of(child.pid);
}

static void process(void)
{
    char text[WORD_LIMIT + 1];
    struct child echo = spawn(S.program, "cat", NULL);
    write_all(echo.in, word, strlen(word) - (PLANTED == WRONG_ANSWER));
    evidence("echo_status", (uint64_t)end_of(echo, text, sizeof text));
    evidence_text("echoed", text);
    evidence("exit_status", (uint64_t)end_of(spawn(S.program, "exit", PLANTED == SKIP_WORK ? "0" : "37"), text, sizeof text));
    end_of(spawn("/nowhere/benchproof", NULL, NULL), text, sizeof text);
    evidence_text("missing_program", text);
    make_folder();
    int fd = open(inside("text"), O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    if (fd < 0) die("open");
    write_all(fd, "not a program", 13);
    close(fd);
    end_of(spawn(inside("text"), NULL, NULL), text, sizeof text);
    evidence_text("damaged_program", text);
    unlink(inside("text")), rmdir(folder);
    pid_t doomed = fork_or_die();
    if (doomed == 0)
        for (;;) pause();
    kill(doomed, SIGKILL);
    int status = 0;
    waitpid(doomed, &status, 0);
    evidence("killed_by", WIFSIGNALED(status) ? (uint64_t)WTERMSIG(status) : 0);
}

/* ---- smoke.files ---- */

static void files(void)
{
    static unsigned char content[CONTENT_BYTES], again[CONTENT_BYTES + 1];
    struct stat status = { 0 };
    for (size_t i = 0; i < sizeof content; i++) content[i] = (unsigned char)(i * 7 + (i >> 8) + (unsigned char)word[i % strlen(word)]);
    make_folder();
    int fd = open(inside("first"), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) die("open");
    write_all(fd, content, sizeof content - (PLANTED == SKIP_WORK));
    evidence_text("synced", answer_of(fsync(fd)));
    close(fd);
    if (rename(inside("first"), inside("second"))) die("rename");
    evidence_text("old_name", answer_of(open(inside("first"), O_RDONLY | O_CLOEXEC)));
    fd = open(inside("second"), O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : 0;
    for (ssize_t n; size >= 0 && (n = read(fd, again + size, sizeof again - (size_t)size)) > 0;) size += n;
    evidence("size", fd < 0 || fstat(fd, &status) ? 0 : (uint64_t)status.st_size);
    close(fd);
    evidence("read_back", size == (ssize_t)sizeof content && !memcmp(content, again, sizeof content));
    if (PLANTED != WRONG_ANSWER && unlink(inside("second"))) die("unlink");
    evidence_text("removed", answer_of(open(inside("second"), O_RDONLY | O_CLOEXEC)));
    if (PLANTED == WRONG_ANSWER) unlink(inside("second"));
    evidence_text("folder", answer_of(rmdir(folder)));
}

/* ---- smoke.memory ---- */

static sigjmp_buf jump;
static void *volatile fault_address;
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    fault_address = info->si_addr;
    siglongjmp(jump, 1);
}

/* "fault" if touching the page was refused at that very address; else what was read. */
static void touch(const char *name, volatile uint64_t *page, int writing)
{
    fault_address = NULL;
    if (sigsetjmp(jump, 1)) {
        evidence_text(name, fault_address == (void *)(uintptr_t)page ? "fault" : "a fault elsewhere");
        return;
    }
    if (writing) *page = 43;
    evidence(name, *page);
}

static void memory(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    volatile uint64_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) unsupported("mmap");
    touch("fresh", page, 0);
    *page = 42;
    if (PLANTED != SKIP_WORK && mprotect((void *)(uintptr_t)page, PAGE, PROT_READ)) die("mprotect");
    touch("write_to_read_only", page, 1);
    touch("read_of_read_only", page, 0);
    if (mprotect((void *)(uintptr_t)page, PAGE, PROT_READ | PROT_WRITE)) die("mprotect");
    touch("write_to_writable", page, 1);
    if (PLANTED != WRONG_ANSWER && munmap((void *)(uintptr_t)page, PAGE)) die("munmap");
    touch("read_of_unmapped", page, 0);
}

/* ---- smoke.threads ---- */

static uint32_t gate;
static long wait_at(uint32_t expected, uint64_t ns)
{
    struct timespec limit = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };
    return syscall(SYS_futex, &gate, FUTEX_WAIT_PRIVATE, expected, &limit, NULL, 0);
}

static void *waiter(void *number)
{
    long woken;
    while ((woken = wait_at(0, 10 * NS_PER_S)) && errno == EINTR) {}
    return (void *)(woken == 0 ? (uintptr_t)number + (PLANTED == WRONG_ANSWER) : 0);
}

/* Wakes up to `most` at a time until `wanted` are awake; returns how many were. Who is not asleep yet is woken later. */
static uint64_t wake(int most, uint64_t wanted)
{
    uint64_t woken = 0;
    for (int turn = 0; woken < wanted && turn < 50000; turn++) {
        long now = syscall(SYS_futex, &gate, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
        if (now > 0) woken += (uint64_t)now;
        else nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    }
    return woken;
}

static void threads(void)
{
    pthread_t all[WAITERS];
    uint64_t start = now_ns(), joined = 0, sum = 0;
    evidence_text("timed_out", answer_of(PLANTED == SKIP_WORK ? 0 : wait_at(0, WAIT_NS)));
    evidence("waited_long_enough", now_ns() - start >= WAIT_NS);
    evidence_text("wait_for_what_is_not", answer_of(wait_at(1, WAIT_NS)));
    for (uintptr_t i = 0; i < WAITERS; i++)
        if (pthread_create(&all[i], NULL, waiter, (void *)(i + 1))) unsupported("pthread_create");
    evidence("woken_one", wake(1, 1));
    evidence("woken_many", wake(INT_MAX, WAITERS - 1));
    for (int i = 0; i < WAITERS; i++) {
        void *status = NULL;
        joined += pthread_join(all[i], &status) == 0;
        sum += (uintptr_t)status;
    }
    evidence("joined", joined);
    evidence("join_sum", sum);
}

/* ---- smoke.ipc: the word goes through a pipe to another process and comes back through a socket ---- */

static void ipc(void)
{
    int there[2], back[2], event = eventfd(0, EFD_CLOEXEC);
    char text[WORD_LIMIT + 1] = "";
    uint64_t sum = 0;
    if (pipe2(there, O_CLOEXEC)) unsupported("pipe2");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back)) unsupported("socketpair(AF_UNIX)");
    signal(SIGPIPE, SIG_IGN);
    pid_t partner = fork_or_die();
    if (partner == 0) {
        close(there[1]), close(back[0]);
        for (uint64_t i = 0, seven = 7; event >= 0 && i < 3; i++) write_all(event, &seven, sizeof seven);
        for (ssize_t n; (n = read(there[0], text, sizeof text)) > 0;) write_all(back[1], text, (size_t)n);
        _exit(EXIT_TOKEN);
    }
    close(there[0]), close(back[1]);
    write_all(there[1], word, strlen(word) - (PLANTED == WRONG_ANSWER));
    close(there[1]);
    evidence_text("stale_handle", answer_of(PLANTED == SKIP_WORK ? 0 : write(there[1], word, 1)));
    size_t got = 0;
    for (ssize_t n; got < WORD_LIMIT && (n = read(back[0], text + got, WORD_LIMIT - got)) > 0;) got += (size_t)n;
    evidence("partner_status", (uint64_t)exit_status_of(partner));
    evidence("word_crc32", crc32_of(0, text, got));
    evidence_text("eventfd", event < 0 ? "absent" : read(event, &sum, sizeof sum) == sizeof sum ? "read" : "unreadable");
    evidence("eventfd_sum", sum);
    int half[2];
    if (pipe2(half, O_CLOEXEC)) die("pipe2");
    close(half[0]);
    evidence_text("pipe_without_reader", answer_of(write(half[1], word, 1)));
}

/* ---- smoke.authority: what must be refused is tried ---- */

/* A process that we must not trace: it keeps what we are about to lose or, where we have nothing, wants no witness. */
static pid_t make_victim(void)
{
    int ready[2];
    char byte = 0;
    if (pipe2(ready, O_CLOEXEC)) die("pipe2");
    pid_t victim = fork_or_die();
    if (victim == 0) {
        if (!capabilities_held() && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) _exit(1);
        write_all(ready[1], &byte, 1);
        for (;;) pause();
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) unsupported("a process that must not be traced");
    close(ready[0]);
    return victim;
}

/* A file that we must not read: of someone else or, where we cannot give it away, closed to everyone. */
static const char *make_foreign_file(void)
{
    int fd = open(inside("foreign"), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) die("open");
    write_all(fd, word, strlen(word));
    int given = fchown(fd, SOMEONE_ELSE, SOMEONE_ELSE) == 0;
    if (!given && fchmod(fd, 0)) die("fchmod");
    close(fd);
    return given ? "of another owner" : "closed to everyone";
}

static void tried(const char *name, long result)
{
    const char *said = answer_of(result);
    evidence_text(name, PLANTED == SKIP_WORK ? "untried" : PLANTED == WRONG_ANSWER ? "none" : said);
}

static void new_user_namespace(void)
{
    pid_t child = fork_or_die();
    if (child == 0) _exit(unshare(CLONE_NEWUSER) ? errno & 0xff : 0);
    evidence_text("new_user_namespace", name_of(exit_status_of(child)));
}

static void authority(void)
{
    make_folder();
    evidence_text("victim", capabilities_held() ? "more capable" : "not dumpable");
    pid_t victim = make_victim();
    evidence_text("foreign_file_is", make_foreign_file());
    take_authority(&(struct authority){ 0 });
    long mounted = mount("none", folder, "tmpfs", 0, NULL);
    tried("mount", mounted);
    if (mounted == 0) umount2(folder, MNT_DETACH);
    tried("raw_socket", socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
    tried("packet_socket", socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    tried("foreign_file", open(inside("foreign"), O_RDONLY | O_CLOEXEC));
    tried("foreign_process", ptrace(PTRACE_SEIZE, victim, NULL, NULL));
    kill(victim, SIGKILL);
    evidence_text("key_ring", answer_of(syscall(SYS_keyctl, 0, -1, 0)));
    new_user_namespace();
    report_authority();
    unlink(inside("foreign")), rmdir(folder);
}

/* ---- all of them ---- */

static const struct smoke {
    const char *name;
    void (*run)(void);
    int own_authority; /* it drops its rights itself, when it has used them */
} SMOKES[] = {
    { "smoke.boot", boot, 0 },       { "smoke.process", process, 0 }, { "smoke.files", files, 0 },         { "smoke.memory", memory, 0 },
    { "smoke.threads", threads, 0 }, { "smoke.ipc", ipc, 0 },         { "smoke.authority", authority, 1 },
};
enum { SMOKE_COUNT = sizeof SMOKES / sizeof *SMOKES };

static _Noreturn void be(const struct smoke *smoke, int output)
{
    dup2(output, 1);
    forget_output();
    if (!smoke->own_authority) take_authority(&(struct authority){ 0 });
    smoke->run();
    print_output();
    _exit(0);
}

/* Says what the smoke said, and how it ended: an exit status, or the negative number of a signal. */
static void attend(const struct smoke *smoke)
{
    int said[2], status = 0;
    char chunk[4096];
    if (pipe2(said, O_CLOEXEC)) die("pipe2");
    pid_t pid = fork_or_die();
    if (pid == 0) be(smoke, said[1]);
    close(said[1]);
    say("{\"line\":\"smoke\",\"name\":\"%s\"}\n", smoke->name);
    for (ssize_t n = 1; n > 0;) {
        struct pollfd wait = { .fd = said[0], .events = POLLIN };
        if (poll(&wait, 1, PATIENCE_MS) == 0) kill(pid, SIGKILL);
        if ((n = read(said[0], chunk, sizeof chunk - 1)) > 0) say("%.*s", (int)n, chunk);
    }
    close(said[0]);
    waitpid(pid, &status, 0);
    say("{\"line\":\"over\",\"name\":\"%s\",\"status\":%d}\n", smoke->name, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
}

static const struct smoke *find(const char *name)
{
    for (int i = 0; i < SMOKE_COUNT; i++)
        if (!strcmp(SMOKES[i].name, name)) return &SMOKES[i];
    return NULL;
}

/* probe smoke WORD NAME... */
int smoke(int argc, char **argv)
{
    if (argc < 2 || strlen(argv[0]) < 1 || strlen(argv[0]) > WORD_LIMIT) return -1;
    word = argv[0];
    for (int i = 1; i < argc; i++)
        if (!find(argv[i])) return -1;
    say("{\"line\":\"smokes\",\"probe\":%d,\"count\":%d}\n", PROBE_VERSION, argc - 1);
    for (int i = 1; i < argc; i++) attend(find(argv[i]));
    seal_output(argc - 1);
    return 0;
}
