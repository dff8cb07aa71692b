static const char USAGE[] =
    "benchproof's probe: times one primitive operation and leaves evidence that the work was done.\n"
    "\n"
    "  probe bench NAME [--samples N] [--warmups N] [--sample-ns NS] [--budget-ns NS]\n"
    "                   [--iterations N] [--size BYTES] [--dir DIR]\n"
    "                   [--inject-ns NS] [--inject-instructions N]    slower on purpose, by so much an operation\n"
    "                   [--capabilities HEX] [--namespaces mnt,net,...] [--seccomp confined]    what it may do, and no more\n"
    "  probe confine [--namespaces ...] [--seccomp confined] -- ARGV...    run ARGV with less than it would have\n"
    "                   [--width N] [--threads 0|1] [--oversubscribe 0|1] [--limit N] [--chunks N]    scaling.* alone\n"
    "                   [--block BYTES] [--seed N] [--direct 0|1|2] [--sync 0|1|2] [--warm 0|1] [--depth N]    disk.*: off, on, if possible; no\n"
    "                   fsync, one at the end, one after each write; read what was read before\n"
    "                   [--cold N] -- COMMAND...    startup.command: so many cold starts before --iterations warm ones\n"
    "  probe smoke WORD NAME...    tier 0: does this system do what is to be timed? WORD comes back in the evidence\n"
    "  probe http URL --size BYTES --sha256 HEX [--requests N] [--connections N] [--rate N] [--store 1] [--proxy URL]\n"
    "                   [--address IP] [--ca FILE] [--save FILE] [--mark 'NAME: VALUE'] [--timeout-ns NS] [--budget-ns NS]\n"
    "                              ask for one known body; --rate a second, whether answered or not: an open loop\n"
    "  probe mcp ADDRESS PORT PATH ['NAME: VALUE']...    send the lines of standard input, JSON-RPC, to a tool server\n"
    "  probe pack DIR | unpack DIR    a folder as one stream on standard output, and such a stream from standard input\n"
    "  probe entries DIR PATH      what one folder below DIR holds: kind, mode, size and name of each\n"
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
    "  probe hoard BYTES | fill FILE BYTES    take memory, or room on a disk, until no more is given; says how much\n"
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
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define EXIT_UNSUPPORTED 69
#define MAX_SAMPLES 10000

struct state S = { .samples = 40, .warmups = 5, .sample_ns = 2000000, .budget_ns = 10 * NS_PER_S, .width = 1 };

static struct authority declared; /* what the benchmark may do: nothing, unless it says so */
static uint64_t warmup_ns[MAX_SAMPLES], sample_elapsed_ns[MAX_SAMPLES];

/* ---- output: buffered whole, so that nothing is written while anything is timed ---- */

static struct { char text[2 << 20]; size_t used; } out;

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(out.text + out.used, sizeof out.text - out.used, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof out.text - out.used) die("output does not fit");
    out.used += (size_t)n;
}

void forget_output(void) { out.used = 0; }
uint32_t sum_of_output(void) { return crc32_of(0, out.text, out.used); }
void print_output(void) { write_all(1, out.text, out.used), forget_output(); }

void seal_output(int smokes)
{
    say("{\"line\":\"end\",\"smokes\":%d,\"crc32\":%" PRIu32 "}\n", smokes, crc32_of(0, out.text, out.used));
    print_output();
}

void evidence(const char *name, uint64_t value) { say("{\"line\":\"evidence\",\"name\":\"%s\",\"value\":\"%" PRIu64 "\"}\n", name, value); }
void evidence_text(const char *name, const char *value) { say("{\"line\":\"evidence\",\"name\":\"%s\",\"value\":\"%s\"}\n", name, value); }

_Noreturn void not_applicable(const char *reason)
{
    printf("{\"line\":\"unsupported\",\"reason\":\"%s\"}\n", reason);
    fflush(stdout);
    _exit(EXIT_UNSUPPORTED);
}

_Noreturn void unsupported(const char *reason)
{
    char text[512];
    snprintf(text, sizeof text, "%s: %s", reason, strerror(errno));
    not_applicable(text);
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

uint64_t now_ns(void)
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

/* ---- children ---- */

pid_t fork_or_die(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0 && errno == ENOSYS) unsupported("fork");
    if (pid < 0) die("fork");
    if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

int exit_status_of(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid) die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}


/* ---- measuring one benchmark ---- */

static const struct benchmark *const TABLES[] = { PRIMITIVES, FILES, IPC, RINGS, SCALING, PRIVILEGED, DISK, ROOTFS, STARTUP };
enum { TABLE_COUNT = sizeof TABLES / sizeof *TABLES };

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
    take_authority(&declared);
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

void first_line_with(const char *path, const char *key, char *value, size_t size)
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
    if (!*filters) { /* older kernels tell the mode, not the number */
        first_line_with("/proc/self/status", "Seccomp:", filters, sizeof filters);
        if (!strcmp(filters, "2")) strcpy(filters, "1 or more");
    }
    printf("{\"os\":\"%s\",\"kernel\":\"%s\",\"kernel_build\":\"%s\",\"architecture\":\"%s\",\"cpu\":\"%s\",\"cpus\":\"%d\","
           "\"clock_source\":\"%s\",\"page_bytes\":\"%ld\",\"seccomp_filters\":\"%s\"",
           u.sysname, u.release, u.version, u.machine, cpu, CPU_COUNT(&cpus), clock, sysconf(_SC_PAGESIZE), *filters ? filters : "0");
    say_labels();
    puts("}");
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
        if (!strcmp(argv[i], "--")) { S.words = argv + i + 1; break; }
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        int ours = authority_option(&declared, option, value);
        if (ours < 0) {
            fprintf(stderr, "probe: %s: it cannot be '%s'\n", option, value ? value : "nothing");
            exit(EXIT_USAGE);
        }
        if (ours) continue;
        if (!strcmp(option, "--dir")) { S.dir = value; continue; }
        if (!strcmp(option, "--inject-ns")) { S.inject_ps = picoseconds(option, S.inject_text = value); continue; }
        uint64_t *field = !strcmp(option, "--samples")      ? &S.samples
                          : !strcmp(option, "--warmups")    ? &S.warmups
                          : !strcmp(option, "--sample-ns")  ? &S.sample_ns
                          : !strcmp(option, "--budget-ns")  ? &S.budget_ns
                          : !strcmp(option, "--iterations") ? &S.fixed_iterations
                          : !strcmp(option, "--size")       ? &S.size
                          : !strcmp(option, "--inject-instructions") ? &S.inject_instructions
                          : !strcmp(option, "--width")      ? &S.width
                          : !strcmp(option, "--threads")    ? &S.threads
                          : !strcmp(option, "--oversubscribe") ? &S.oversubscribe
                          : !strcmp(option, "--limit")      ? &S.limit
                          : !strcmp(option, "--chunks")     ? &S.chunks
                          : !strcmp(option, "--block")      ? &S.block
                          : !strcmp(option, "--seed")       ? &S.seed
                          : !strcmp(option, "--direct")     ? &S.direct
                          : !strcmp(option, "--sync")       ? &S.sync
                          : !strcmp(option, "--warm")       ? &S.warm
                          : !strcmp(option, "--depth")      ? &S.depth
                          : !strcmp(option, "--cold")       ? &S.cold
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
    if (!strcmp(command, "confine") && argc > 2) return confine(argv + 2);
    if (!strcmp(command, "http") && http(argc - 2, argv + 2) == 0) return 0;
    if (!strcmp(command, "pack") && argc == 3) return pack(argv[2]);
    if (!strcmp(command, "unpack") && argc == 3) return unpack(argv[2]);
    if (!strcmp(command, "entries") && argc == 4) return list_entries(argv[2], argv[3]);
    if (!strcmp(command, "mcp") && mcp(argc - 2, argv + 2) == 0) return 0;
    if (!strcmp(command, "smoke") && smoke(argc - 2, argv + 2) == 0) return 0;
    if (!strcmp(command, "facts")) return facts();
    if (!strcmp(command, "symbols")) return symbols();
    if (!strcmp(command, "list")) {
        for (size_t i = 0; i < TABLE_COUNT; i++)
            for (const struct benchmark *each = TABLES[i]; each->name; each++) puts(each->name);
        return 0;
    }
    if (!strcmp(command, "bench") && argc > 2) {
        parse_options(argc - 3, argv + 3);
        for (size_t i = 0; i < TABLE_COUNT; i++)
            for (const struct benchmark *each = TABLES[i]; each->name; each++)
                if (!strcmp(each->name, argv[2])) return bench(each);
        fprintf(stderr, "probe: unknown benchmark '%s'; `probe list` names them\n", argv[2]);
        return EXIT_USAGE;
    }
    if (!strcmp(command, "wait") && argc == 3) return wait_ns(number("NS", argv[2]));
    int status = self_test(argc - 1, argv + 1);
    if (status >= 0) return status;
    fputs(USAGE, stderr);
    return EXIT_USAGE;
}
