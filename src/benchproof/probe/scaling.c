/* scaling.*: one piece of work, shared among workers that start together. Each is created, warmed and waiting before the
   start. From the release on a worker reads the work, writes to its own slot and makes no system call: the pages of all
   others are read-only to it (a process), and a filter ends it at the first call. */
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (64u << 10)
#define MOST_WORKERS 64u
#define MOST_LIMIT 100000000u
#define NAP_NS 50000
/* One build for the tests has all faults of a single worker; how many samples are asked for says which. */
enum { SYSTEM_CALL = 1, DEAD_WORKER = 2, FOREIGN_SLOT = 3, CLOCK_IN_WORK = 4 };
#define BAD(fault) (PLANTED == BAD_WORKER && S.samples == (fault))
#define TRAPPED 42 /* exit status of one that made a system call which the filter forbids */

struct slot {                 /* on pages of its own: what one worker writes */
    uint32_t ready, done;
    uint32_t trapped;         /* number of the forbidden system call, plus 1 */
    int64_t switches;         /* voluntary ones before the start */
    uint64_t end_ns, count;
    unsigned char digests[][32];
};

static struct {
    uint64_t width;
    void (*work)(uint64_t worker, struct slot *slot);
    unsigned char *shared;    /* one page with the word that releases all, then the slots */
    size_t shared_bytes, slot_bytes;
    unsigned char *corpus;
    uint32_t bounds[MOST_WORKERS + 1];
    uint64_t clock_call;      /* where the clock is read at the end, if that enters the kernel; else 0 */
    uint64_t worker;          /* which one a process is */

    pid_t pids[MOST_WORKERS];
    uint32_t tids[MOST_WORKERS];
    unsigned char *stacks;
    uint64_t done, calls, switches, began_ns, released_ns;
    volatile uint64_t *trapped_at; /* where the last forbidden call was made, as the kernel tells it */
} W;

static struct slot *slot_of(uint64_t worker) { return (struct slot *)(void *)(W.shared + PAGE + worker * W.slot_bytes); }
static uint32_t *gate(void) { return (uint32_t *)(void *)W.shared; }

static void *map_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) unsupported("shared anonymous mapping");
    return memory;
}

/* ---- no system call: a filter that traps every one, and who fell into it ---- */

static uint64_t who_am_i(void)
{
    if (!S.threads) return W.worker;
    char here;
    return (uint64_t)((unsigned char *)&here - W.stacks) / STACK_BYTES;
}

static void on_forbidden_call(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    *W.trapped_at = (uint64_t)(uintptr_t)info->si_call_addr;
    if (W.shared) slot_of(who_am_i())->trapped = (uint32_t)info->si_syscall + 1;
    syscall(SYS_exit, TRAPPED);
}

static int forbid_system_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 7, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)W.clock_call, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(W.clock_call >> 32), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What becomes of a process that does this under the filter: 0 it goes on, TRAPPED. */
static int fate_under_filter(void (*doing)(void))
{
    pid_t pid = fork_or_die();
    if (pid == 0) {
        if (forbid_system_calls()) _exit(1);
        doing();
        _exit(0);
    }
    int status = exit_status_of(pid);
    errno = ENOSYS;
    if (status == 1) unsupported("a seccomp filter, without which nothing shows that the timed region makes no system call");
    return status;
}

static void make_a_call(void) { syscall(SYS_getppid); }
static void read_the_clock(void) { (void)now_ns(); }

/* The clock by a call that is made at one place alone, where the filter knows it; the work never comes here. */
static uint64_t call_for_time_ns(void)
{
    struct timespec t = { 0 };
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void call_for_time(void) { (void)call_for_time_ns(); }

static void try_filter(void)
{
    struct sigaction action = { .sa_sigaction = on_forbidden_call, .sa_flags = SA_SIGINFO };
    sigaction(SIGSYS, &action, NULL);
    W.trapped_at = map_shared(PAGE);
    errno = 0;
    if (fate_under_filter(make_a_call) != TRAPPED) die("a seccomp filter that forbids system calls lets them through");
    if (fate_under_filter(read_the_clock) != TRAPPED && !BAD(CLOCK_IN_WORK)) return;
    *W.trapped_at = 0;
    if (fate_under_filter(call_for_time) == TRAPPED) W.clock_call = *W.trapped_at;
    errno = ENOSYS;
    if (!W.clock_call) unsupported("to learn where a forbidden call was made, for a clock that needs one");
}

/* ---- one worker ---- */

static void warm(uint64_t worker, struct slot *slot);

/* The rest of the memory that all share can be read from here on, and no more. */
static void keep_to_own_slot(uint64_t worker)
{
    unsigned char *own = (unsigned char *)slot_of(worker), *next = own + W.slot_bytes;
    if (mprotect(W.shared, (size_t)(own - W.shared), PROT_READ)) die("mprotect");
    size_t left = W.shared_bytes - (size_t)(next - W.shared);
    if (left && mprotect(next, left, PROT_READ)) die("mprotect");
}

static void relax(void)
{
#if defined(__x86_64__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int work_as(void *number)
{
    uint64_t worker = (uint64_t)(uintptr_t)number;
    struct slot *slot = slot_of(worker);
    struct rusage before = { 0 };
    if (!S.threads) keep_to_own_slot(worker);
    warm(worker, slot);
    getrusage(RUSAGE_SELF, &before);
    slot->switches = before.ru_nvcsw;
    if (forbid_system_calls()) return 1;
    __atomic_store_n(&slot->ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(gate(), __ATOMIC_ACQUIRE)) relax();

    if (BAD(DEAD_WORKER) && worker == W.width - 1) syscall(SYS_exit, 0);
    if (BAD(SYSTEM_CALL) && worker == W.width - 1) make_a_call();
    if (BAD(CLOCK_IN_WORK) && worker == W.width - 1) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &(struct timespec){ 0 });
    if (BAD(FOREIGN_SLOT) && worker) slot_of(0)->count = 7;
    W.work(worker, slot);
    slot->end_ns = W.clock_call ? call_for_time_ns() : now_ns();
    __atomic_store_n(&slot->done, 1, __ATOMIC_RELEASE);
    syscall(SYS_exit, 0);
    return 0;
}

static void start_worker(uint64_t worker)
{
    void *number = (void *)(uintptr_t)worker;
    if (!S.threads) {
        W.worker = worker;
        if ((W.pids[worker] = fork_or_die()) == 0) _exit(work_as(number));
        return;
    }
    /* A thread of the kernel without a library's: it ends by one system call, the only one that the filter lets through. */
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    void *stack = W.stacks + (worker + 1) * STACK_BYTES;
    if (clone(work_as, stack, flags, number, &W.tids[worker], NULL, &W.tids[worker]) < 0) unsupported("clone of a thread");
}

/* ---- all of them ---- */

static int has_ended(uint64_t worker)
{
    if (S.threads) return !__atomic_load_n(&W.tids[worker], __ATOMIC_ACQUIRE);
    siginfo_t ended = { 0 };
    return !waitid(P_PID, (id_t)W.pids[worker], &ended, WEXITED | WNOHANG | WNOWAIT) && ended.si_pid;
}

static void await_ready(void)
{
    const struct timespec nap = { .tv_nsec = NAP_NS };
    for (uint64_t worker = 0; worker < W.width; worker++)
        while (!__atomic_load_n(&slot_of(worker)->ready, __ATOMIC_ACQUIRE)) {
            errno = 0;
            if (has_ended(worker)) die("a worker ended before the start");
            nanosleep(&nap, NULL);
        }
}

static void await_end(uint64_t worker)
{
    const struct timespec patience = { .tv_sec = 1 };
    struct rusage used = { 0 };
    int status;
    for (uint32_t tid; S.threads && (tid = __atomic_load_n(&W.tids[worker], __ATOMIC_ACQUIRE));)
        syscall(SYS_futex, &W.tids[worker], FUTEX_WAIT, tid, &patience, NULL, 0);
    if (!S.threads && wait4(W.pids[worker], &status, 0, &used) != W.pids[worker]) die("wait4");
    struct slot *slot = slot_of(worker);
    if (!S.threads) W.switches += (uint64_t)(used.ru_nvcsw - slot->switches);
    W.done += slot->done;
    W.calls += slot->trapped != 0;
    S.failures += !slot->done;
}

static uint64_t last_end_ns(void)
{
    uint64_t last = 0;
    for (uint64_t worker = 0; worker < W.width; worker++)
        if (slot_of(worker)->end_ns > last) last = slot_of(worker)->end_ns;
    return last;
}

static void once(void)
{
    memset(W.shared, 0, W.shared_bytes);
    W.done = 0;
    for (uint64_t worker = 0; worker < W.width; worker++) start_worker(worker);
    await_ready();
    W.released_ns = now_ns();
    __atomic_store_n(gate(), 1, __ATOMIC_RELEASE);
    for (uint64_t worker = 0; worker < W.width; worker++) await_end(worker);
    uint64_t last = last_end_ns();
    S.own_elapsed_ns += last > W.released_ns ? last - W.released_ns : 0;
}

static void scaling_batch(uint64_t n)
{
    S.own_elapsed_ns = 0;
    for (uint64_t i = 0; i < n && !S.failures; i++) once();
}

static void prepare(void (*work)(uint64_t, struct slot *), size_t result_bytes)
{
    W.width = S.width;
    W.work = work;
    try_filter();
    W.slot_bytes = (sizeof(struct slot) + result_bytes + PAGE - 1) / PAGE * PAGE;
    W.shared_bytes = PAGE + W.width * W.slot_bytes;
    W.shared = map_shared(W.shared_bytes);
    if (S.threads) W.stacks = map_shared(W.width * STACK_BYTES);
}

static void finish(void)
{
    char ends[MOST_WORKERS * 21 + 1] = "", calls[MOST_WORKERS * 11 + 1] = "";
    size_t used = 0, listed = 0;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof cpus, &cpus)) die("sched_getaffinity");
    for (uint64_t worker = 0; worker < W.width; worker++) {
        struct slot *slot = slot_of(worker);
        if (slot->end_ns) used += (size_t)snprintf(ends + used, sizeof ends - used, "%s%" PRIu64, used ? " " : "", slot->end_ns - W.released_ns);
        if (slot->trapped) listed += (size_t)snprintf(calls + listed, sizeof calls - listed, "%s%" PRIu32, listed ? " " : "", slot->trapped - 1);
    }
    evidence("cpus", (uint64_t)CPU_COUNT(&cpus));
    evidence("width", W.width);
    evidence("workers_done", W.done);
    evidence_text("worker_ends_ns", ends);
    evidence_text("system_calls", W.calls ? calls : "none");
    evidence_text("clock_read", W.clock_call ? "by one system call behind the work" : "without a system call");
    evidence("whole_ns", now_ns() - W.began_ns);
    evidence_text("slots", S.threads ? "of one address space" : "protected");
    if (!S.threads) evidence("voluntary_switches", W.switches); /* from ready to the end, all rounds and workers together */
}

static void refuse_width(void)
{
    cpu_set_t cpus;
    char reason[128];
    W.began_ns = now_ns();
    CPU_ZERO(&cpus);
    if (!S.width || S.width > MOST_WORKERS) {
        fprintf(stderr, "probe: --width is 1 to %u\n", MOST_WORKERS);
        exit(64);
    }
    if (sched_getaffinity(0, sizeof cpus, &cpus)) die("sched_getaffinity");
    if (S.oversubscribe || S.width <= (uint64_t)CPU_COUNT(&cpus)) return;
    snprintf(reason, sizeof reason, "not_applicable: %" PRIu64 " workers on %d CPUs (oversubscribe = true runs them)", S.width, CPU_COUNT(&cpus));
    not_applicable(reason);
}

/* ---- scaling.primes: how many primes up to a limit, by trial division ---- */

static uint64_t primes_in(uint32_t low, uint32_t high)
{
    uint64_t count = 0;
    for (uint32_t n = low; n < high; n++) {
        int prime = n % 2 || n == 2;
        if (PLANTED == SKIP_WORK && n % 1000 == 3) continue;
        for (uint32_t divisor = 3; prime && (uint64_t)divisor * divisor <= n; divisor += 2) prime = n % divisor != 0;
        count += (uint64_t)prime;
    }
    return count + (PLANTED == WRONG_ANSWER);
}

/* a^7 b^5 in limbs of 32 bits, the lowest first: it has at most 7 * 27 + 5 * 6 bits */
static void powers(uint32_t a, uint32_t b, uint32_t limbs[8])
{
    memset(limbs, 0, 8 * sizeof *limbs);
    limbs[0] = 1;
    for (int factor = 0; factor < 12; factor++) {
        uint64_t carry = 0;
        for (int i = 0; i < 8; i++) {
            carry += (uint64_t)limbs[i] * (factor < 7 ? a : b);
            limbs[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
}

static int is_less(const uint32_t one[8], const uint32_t other[8])
{
    for (int i = 7; i >= 0; i--)
        if (one[i] != other[i]) return one[i] < other[i];
    return 0;
}

/* The first number of worker k: the least n with n^7 width^5 >= limit^7 k^5. Trial division of all numbers up to n takes
   about n^1.4 divisions, so each worker has about as many. Whole numbers: every system gets the same split. */
static uint32_t first_of(uint32_t k, uint32_t width, uint32_t limit)
{
    uint32_t wanted[8], found[8], low = 2, high = limit + 1;
    if (k == width) return high;
    powers(limit, k, wanted);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        powers(middle, width, found);
        if (is_less(found, wanted)) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void primes_work(uint64_t worker, struct slot *slot) { slot->count = primes_in(W.bounds[worker], W.bounds[worker + 1]); }

static void primes_prepare(void)
{
    refuse_width();
    if (S.limit < 2 || S.limit > MOST_LIMIT) {
        fprintf(stderr, "probe: --limit is 2 to %u\n", MOST_LIMIT);
        exit(64);
    }
    for (uint32_t k = 0; k <= S.width; k++) W.bounds[k] = first_of(k, (uint32_t)S.width, (uint32_t)S.limit);
    prepare(primes_work, 0);
}

static void primes_finish(void)
{
    char bounds[MOST_WORKERS * 11 + 12] = "";
    uint64_t answer = 0;
    size_t used = 0;
    for (uint64_t worker = 0; worker < W.width; worker++) answer += slot_of(worker)->count;
    for (uint64_t k = 0; k <= W.width; k++) used += (size_t)snprintf(bounds + used, sizeof bounds - used, "%s%" PRIu32, k ? " " : "", W.bounds[k]);
    evidence("answer", answer);
    evidence_text("partition", "contiguous: worker k of w begins at the least n with n^7 w^5 >= limit^7 k^5");
    evidence_text("bounds", bounds);
    finish();
}

/* ---- scaling.hash: SHA-256 (FIPS 180-4) of each chunk, and of all their digests in order ---- */

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotated(uint32_t word, int by) { return word >> by | word << (32 - by); }

static void absorb(uint32_t state[8], const unsigned char block[64])
{
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t low = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t high = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    for (int i = 0; i < 64; i++) {
        uint32_t one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i] + w[i];
        uint32_t two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256(const unsigned char *data, size_t size, unsigned char digest[32])
{
    uint32_t state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    unsigned char last[128] = { 0 };
    size_t whole = size / 64 * 64, rest = size - whole, padded = rest < 56 ? 64 : 128;
    for (size_t at = 0; at < whole; at += 64) absorb(state, data + at);
    for (size_t i = 0; i < rest; i++) last[i] = data[whole + i];
    last[rest] = 0x80;
    for (int i = 0; i < 8; i++) last[padded - 1 - (size_t)i] = (unsigned char)((uint64_t)size * 8 >> 8 * i);
    for (size_t at = 0; at < padded; at += 64) absorb(state, last + at);
    for (int i = 0; i < 32; i++) digest[i] = (unsigned char)(state[i / 4] >> (24 - i % 4 * 8));
}

/* Byte j of chunk i: the low 8 bytes of i, lowest first, then (7 j + (j >> 8)) mod 256. */
static void fill_corpus(void)
{
    for (uint64_t j = 0; j < S.size; j++) W.corpus[j] = (unsigned char)(j * 7 + (j >> 8));
    for (uint64_t i = 1; i < S.chunks; i++) memcpy(W.corpus + i * S.size, W.corpus, S.size);
    for (uint64_t i = 0; i < S.chunks; i++)
        for (int j = 0; j < 8; j++) W.corpus[i * S.size + (uint64_t)j] = (unsigned char)(i >> 8 * j);
}

static uint64_t chunks_each(void) { return S.chunks / S.width; }

static void hash_work(uint64_t worker, struct slot *slot)
{
    uint64_t each = chunks_each();
    for (uint64_t i = 0; i < each; i++) {
        if (PLANTED == SKIP_WORK && i == each - 1) continue;
        sha256(W.corpus + (worker * each + i) * S.size, S.size, slot->digests[i]);
        slot->digests[i][0] ^= PLANTED == WRONG_ANSWER;
    }
}

static void hash_prepare(void)
{
    refuse_width();
    if (!S.chunks || S.chunks > 1 << 20 || S.size % 64 || S.chunks * S.size > 1ull << 32) {
        fprintf(stderr, "probe: --chunks is 1 to 1048576 of --size bytes, a multiple of 64, 4 GiB in all\n");
        exit(64);
    }
    if (S.chunks % S.width) {
        char reason[128];
        snprintf(reason, sizeof reason, "not_applicable: %" PRIu64 " chunks are no equal shares for %" PRIu64 " workers", S.chunks, S.width);
        not_applicable(reason);
    }
    W.corpus = map_shared(S.chunks * S.size);
    fill_corpus();
    if (mprotect(W.corpus, S.chunks * S.size, PROT_READ)) die("mprotect");
    prepare(hash_work, chunks_each() * 32);
}

static void hash_finish(void)
{
    unsigned char *digests = malloc(S.chunks * 32), root[32];
    char text[65];
    if (!digests) die("malloc");
    for (uint64_t worker = 0; worker < W.width; worker++) memcpy(digests + worker * chunks_each() * 32, slot_of(worker)->digests, chunks_each() * 32);
    sha256(digests, S.chunks * 32, root);
    free(digests);
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", root[i]);
    evidence_text("answer", text);
    evidence_text("partition", "contiguous: as many chunks for each worker");
    evidence("bytes_each", chunks_each() * S.size);
    finish();
}

/* The same code on a little of the same data, and every page once: the timed region meets nothing for the first time. */
static void warm(uint64_t worker, struct slot *slot)
{
    volatile unsigned char *own = (volatile unsigned char *)slot;
    for (size_t at = 0; at < W.slot_bytes; at += PAGE) own[at] = 0;
    if (!W.corpus) {
        slot->count = primes_in(2, 20000);
        slot->count = 0;
        return;
    }
    const volatile unsigned char *share = W.corpus + worker * chunks_each() * S.size;
    for (size_t at = 0; at < chunks_each() * S.size; at += PAGE) (void)share[at];
    sha256(W.corpus + worker * chunks_each() * S.size, S.size, slot->digests[0]);
    memset(slot->digests[0], 0, 32);
}

const struct benchmark SCALING[] = {
    { "scaling.primes", primes_prepare, scaling_batch, primes_finish, 1 },
    { "scaling.hash", hash_prepare, scaling_batch, hash_finish, 1 },
    { 0 },
};
