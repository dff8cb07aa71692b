/* The primitive operations: three functions make a benchmark, and no result of an operation goes unseen. */

#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAULT_PAGES 256u          /* pages of one mapping in memory.mmap_fault: 1 MiB */
#define WAKE_NS 50000u            /* how far ahead timer.wake sets its deadline */

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

const struct benchmark PRIMITIVES[] = {
    { "syscall.getpid", nothing, getpid_batch, getpid_finish, 1 },
    { "syscall.read_null", read_null_prepare, read_null_batch, device_evidence, 1 },
    { "syscall.write_null", write_null_prepare, write_null_batch, device_evidence, 1 },
    { "process.fork_exit", nothing, fork_exit_batch, children_finish, 1 },
    { "process.fork_exec", nothing, fork_exec_batch, children_finish, 1 },
    { "process.thread_create", nothing, thread_create_batch, threads_finish, 1 },
    { "memory.mmap_fault", nothing, mmap_fault_batch, mmap_fault_finish, FAULT_PAGES },
    { "memory.mprotect", mprotect_prepare, mprotect_batch, mprotect_finish, 2 },
    { "memory.memcpy", memcpy_prepare, memcpy_batch, memcpy_finish, 1 },
    { "timer.wake", timer_wake_prepare, timer_wake_batch, timer_wake_finish, 1 },
    { 0 },
};
